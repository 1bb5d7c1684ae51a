"""The files for containers and for Prometheus, as far as they can be checked without a daemon."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from tratto.cli.main import app

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = [name for name, service in COMPOSE["services"].items() if service.get("image") == "tratto"]


def instructions():
    """Return the instructions of the Dockerfile, each with its words, by stage."""
    lines = re.sub(r"\\\n", " ", "\n".join(x for x in DOCKERFILE.splitlines() if not x.lstrip().startswith("#")))
    stages = [[]]
    for line in filter(None, map(str.strip, lines.splitlines())):
        word, _, rest = line.partition(" ")
        assert word.isupper(), line
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest.strip()))
    return stages[1:]


def options_of(command):
    found = get_command(app).get_command(None, command)
    return {o for p in found.params for o in p.opts}


def test_the_image_runs_as_a_user_without_rights():
    last = instructions()[-1]
    words = [w for w, _ in last]
    assert words[0] == "FROM"
    (user,) = [rest for w, rest in last if w == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert words.index("USER") > max(i for i, w in enumerate(words) if w == "RUN")  # nothing is run as root after it
    assert "VOLUME" in words
    assert any(w == "HEALTHCHECK" and "/api/v1/health" in rest for w, rest in last)
    for word, rest in (i for stage in instructions() for i in stage):
        assert word != "ADD"
        assert not re.search(r"\b(sudo|curl|wget|chmod 777)\b", rest)
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
        if word == "FROM":
            assert "latest" not in rest
            assert ":" in rest


def test_what_the_image_installs_is_what_the_project_offers():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r'pip install "\.\[([a-z0-9,]+)\]"', DOCKERFILE)
    assert set(named.split(",")) <= set(extras)
    assert not [r for e in named.split(",") for r in extras[e] if r.startswith("torch")]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {"!src", "!pyproject.toml", "!README.md", "!LICENSE"} <= set(ignored)


def test_the_commands_exist_and_take_these_options():
    last = dict(instructions()[-1])
    assert last["ENTRYPOINT"] == '["tratto"]'
    lines = [yaml.safe_load(last["CMD"]), *(COMPOSE["services"][name]["command"] for name in OURS)]
    lines += [
        shlex.split(m)
        for m in re.findall(
            r"tratto ((?:serve|work|monitor|keys) [^`#\n]*)", (ROOT / "docs" / "container.md").read_text()
        )
    ]
    assert len(lines) > 3
    for words in lines:
        if words[0] == "keys":
            continue
        assert {w for w in words if w.startswith("--")} <= options_of(words[0]), words


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_have_no_rights_and_are_bounded(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["user"].startswith("0")
    assert "mem_limit" in service
    assert not {"privileged", "pid", "ipc", "devices", "cap_add"} & set(service)
    assert all(p.startswith("127.0.0.1:") for p in service.get("ports", ()))
    assert not [v for v in service.get("volumes", ()) if "docker.sock" in v]
    image = service["image"]
    assert image == "tratto" or re.search(r":v?\d+\.\d+", image)
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_the_worker_has_no_network_and_the_server_does_no_jobs():
    server, worker = COMPOSE["services"]["server"], COMPOSE["services"]["worker"]
    assert worker["network_mode"] == "none"
    assert server["command"][server["command"].index("--workers") + 1] == "0"
    assert server["volumes"] == worker["volumes"]
    data = [c[c.index("--data") + 1] for c in (server["command"], worker["command"])]
    assert data[0] == data[1]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == ["server:8787"]
    assert "server" in server["command"]  # the name that it answers to
    assert scraped["authorization"]["credentials_file"] in (ROOT / ".gitignore").read_text()
