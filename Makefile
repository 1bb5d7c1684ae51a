# Everything a newcomer needs: `make demo` and `make test`. Needs Python 3.11+, pip, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# installed first and alone, so that nothing else drags in another build of it
TORCH ?= torch==2.13.0

.PHONY: demo test test-lab lint docs bench bench-ledger bench-server bench-batch clean

$(VENV)/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit("Tratto needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.base: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[test,lint,bench,openvino,upscale,heif,train,sign,c2pa,timestamp,pdf,hub,server,ray,diffusion,splat,browser,docs]"
	$(BIN)/python -c 'import cv2, sys, importlib.metadata as m; names = {d.metadata["Name"].lower() for d in m.distributions()}; sys.exit("opencv-python would overwrite opencv-python-headless" if names & {"opencv-python", "opencv-contrib-python"} else 0)'
	touch $@

## Restore the example pictures into demo-out/
demo: $(VENV)/.base
	$(BIN)/tratto restore examples/pictures -o demo-out --overwrite
	$(BIN)/tratto restore examples/pictures/small.png -o demo-out/enlarged --scale 2 --overwrite
	@echo "Look into demo-out: each picture has a folder NAME.tratto with report.html beside it."

# One thread: the pictures are small, and waiting for others costs more than they do. COVERAGE=1 says what no test reaches,
# and takes half as long again.
PYTEST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(if $(COVERAGE),--cov --cov-report=term:skip-covered)

## Install what the tests need and test the product
test: $(VENV)/.test
	$(PYTEST) --ignore=tests/lab

## Test the workshop: collecting, corpora, training, evaluation, notebooks, and what is typed for full-size models
test-lab: $(VENV)/.test
	$(PYTEST) tests/lab

## Linters, types and the walls of the house
lint: $(VENV)/.test
	$(BIN)/ruff check src tests benchmarks examples training_runs
	$(BIN)/mypy
	$(BIN)/lint-imports

## Side-by-side speed and quality; PICTURES is a folder of photographs
bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/restore_speed.py

## Every number about ledger and credentials: rates, a million entries, cuts, bit flips, forks, kills (half an hour)
bench-ledger: $(VENV)/.test
	$(BIN)/python benchmarks/ledger.py --work . --out benchmarks/results/ledger.json

## Every proof about the server at full counts: kills, queue, 100 megapixels, hostile files, schemathesis (an hour)
bench-server: $(VENV)/.test
	$(BIN)/python benchmarks/server_kills.py --kills 200
	$(BIN)/python benchmarks/server_queue.py --jobs 10000 --http 1000
	$(BIN)/python benchmarks/server_large.py --megapixels 100 --options '{"method": "telea"}'
	$(BIN)/python benchmarks/server_hostile.py --every 1 --slow
	$(BIN)/python benchmarks/server_fuzz.py --seconds 600

## Every figure about folders and manifests: side by side, killed and resumed, flat memory (half an hour)
bench-batch: $(VENV)/.test
	$(BIN)/python benchmarks/batch.py --pictures 500 --kills 20 --rows 10000 --out benchmarks/results/batch.json

## The documentation as pages, in site/; they load nothing from elsewhere (search needs a web server: python -m http.server -d site)
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) demo-out build dist
