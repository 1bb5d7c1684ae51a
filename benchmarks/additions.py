"""How many source files it takes to add a thing: real commits in a scratch clone, each tried, beside earlier ones.

    python benchmarks/additions.py

A clone of this checkout's HEAD gets a provider, an option of one task, an option of all tasks, a capability and a task,
each written by this script, tried by a program, and committed; the source files of each commit are counted. A model
card is counted from the tree itself. Beside it stand commits of this project's history that added the same kind of
thing before options, providers and tasks were each written in one place.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]

PROVIDER = '''"""Turns a picture into its negative; there to be counted."""

from tratto.core.capability import RestoredTile, RestorerInfo
from tratto.providers.catalogue import Request


def missing(request: Request) -> None:
    """Return None: it needs nothing."""


def open(request: Request) -> "Negative":
    """Open it."""
    return Negative()


class Negative:
    """1 - x."""

    info = RestorerInfo("negative", 1, 64, 0, library="none")

    def restore(self, tile, noise_sigma=None):
        """Restore one tile."""
        return RestoredTile(1 - tile)
'''
CAPABILITY = '''"""Counts what is in a picture; there to be counted."""

from tratto.core.capability import DescriberInfo
from tratto.providers.catalogue import Request


def missing(request: Request) -> None:
    """Return None: it needs nothing."""


def open(request: Request) -> "PixelCounter":
    """Open it."""
    return PixelCounter()


class PixelCounter:
    """Counts pixels."""

    info = DescriberInfo("pixels", library="none")

    def count(self, picture):
        """Count."""
        return picture.shape[0] * picture.shape[1]
'''
TASK = '''"""Plan a lightening; there to be counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratto.core.inspection import Inspection
from tratto.core.options import TaskOptions, option

if TYPE_CHECKING:
    from tratto.core.recipe import Recipe


class LightenOptions(TaskOptions):
    """What a user may ask of lighten."""

    amount: int = option(10, "By how much of 255.", ge=0, le=255)


def prepare(options, image, given, services):
    """Nothing is to be opened."""
    from tratto.tasks.prepared import Prepared

    return Prepared(options)


def plan(options: LightenOptions, inspection: Inspection) -> Recipe:
    """Return the recipe."""
    from tratto.core.recipe import Recipe
    from tratto.steps.lighten import Lighten

    return Recipe("lighten", (Lighten(options.amount),), 0, (f"lightened by {options.amount}",))
'''
STEP = '''"""Lighten a picture; there to be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tratto.core.recipe import step_params
from tratto.core.step import BaseStep, StepRecord


@dataclass(frozen=True)
class Lighten(BaseStep):
    """Adds a number."""

    amount: int = 10
    name: ClassVar[str] = "lighten"
    speed: ClassVar[float | None] = 100.0

    def resolve(self, canvas, services):
        """Nothing is left to fix."""
        return self

    def apply(self, canvas, services):
        """Add."""
        top = canvas.image.max_value - self.amount
        pixels = (np.minimum(canvas.image.pixels, top) + self.amount).astype(canvas.image.pixels.dtype)
        return canvas.replace(image=canvas.image.replace(pixels=pixels)), StepRecord(self.name, step_params(self))
'''


@dataclass(frozen=True)
class Addition:
    """One kind of thing.

    Attributes
    ----------
    name : str
    make : callable
        Writes it into the clone.
    trial : str
        A program that fails unless it is there and works.
    before : tuple of str
        Commits of the past that added one.
    """

    name: str
    make: Callable[[Path], None]
    trial: str
    before: tuple[str, ...] = ()


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{path}: expected one {old!r}, found {text.count(old)}")
    path.write_text(text.replace(old, new))


def _provider(src: Path) -> None:
    (src / "providers/restorer/negative.py").write_text(PROVIDER)
    row = '    "restorer": {\n'
    edit(src / "providers/catalogue.py", row, row + '        "negative": Row(_R + "negative", "1 - x"),\n')


def _option_of_one(src: Path) -> None:
    first = '    fast: bool = option(False, "Allow lower precision where it is faster.")\n'
    edit(src / "tasks/restore.py", first, first + '    tint: float = option(0.0, "A tint.", ge=0, le=1)\n')


def _option_of_all(src: Path) -> None:
    first = '    as_json: bool = option(False, "Print one JSON'
    edit(src / "core/options.py", first, '    quietly: bool = option(False, "Say less.", doors=_HERE)\n' + first)


def _capability(src: Path) -> None:
    (src / "providers/counter.py").write_text(CAPABILITY)
    edit(
        src / "providers/catalogue.py",
        '    "scorer": {\n',
        '    "counter": {"pixels": Row(_P + "counter", "counts", auto=True)},\n    "scorer": {\n',
    )
    edit(
        src / "providers/catalogue.py",
        '    "scorer": "scorer",\n',
        '    "counter": "counter",\n    "scorer": "scorer",\n',
    )
    protocol = "@runtime_checkable\nclass Scorer(Describer, Protocol):"
    edit(
        src / "core/capability.py", protocol,
        '@runtime_checkable\nclass Counter(Describer, Protocol):\n    """Counts."""\n\n'
        '    def count(self, picture: NDArray[np.float32]) -> int:\n        """Count."""\n        ...\n\n\n' + protocol,
    )  # fmt: skip


def _task(src: Path) -> None:
    (src / "tasks/lighten.py").write_text(TASK)
    (src / "steps/lighten.py").write_text(STEP)
    row = "TASKS: tuple[Task, ...] = (\n"
    new = '    Task("lighten", "Lighten a picture.", "LightenOptions", "tratto.tasks.lighten"),\n'
    edit(src / "tasks/__init__.py", row, row + new)
    first = '    "repaint": ('
    edit(src / "steps/__init__.py", first, '    "lighten": ("tratto.steps.lighten", "Lighten"),\n' + first)


_JOB = """
import numpy as np, tratto, tempfile, pathlib
from tratto.cli.main import app
from PIL import Image
folder = pathlib.Path(tempfile.mkdtemp())
Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "a.png")
def run(*line):
    try:
        code = app([*map(str, line)], standalone_mode=False)
    except SystemExit as e:
        code = e.code
    assert code in (0, None), code
"""
ADDITIONS = (
    Addition(
        "provider", _provider,
        _JOB + 'run("restore", folder / "a.png", "-o", folder / "o", "--provider", "negative", "--force")\n'
        'assert np.asarray(Image.open(folder / "o/a.png"))[0, 0, 0] == 165',
    ),
    Addition(
        "option of one task", _option_of_one,
        _JOB + 'run("restore", folder / "a.png", "-o", folder / "o", "--tint", "0.5")\n'
        "assert tratto.restore(folder / 'a.png', tint=0.5)",
    ),
    Addition(
        "option of all tasks", _option_of_all,
        _JOB + 'for task in ("restore", "repair", "recolor"):\n    try:\n        app([task, "--help"])\n'
        '    except SystemExit:\n        pass\nrun("restore", folder / "a.png", "-o", folder / "o", "--quietly")',
    ),
    Addition(
        "capability", _capability,
        "import numpy as np\nfrom tratto.core.capability import Counter, Use\nfrom tratto.jobs import Job\n"
        'made = Job().services().open(Use("counter"))\nassert isinstance(made, Counter)\n'
        "assert made.count(np.zeros((4, 5, 3), np.float32)) == 20",
    ),
    Addition(
        "task", _task,
        _JOB + 'run("lighten", folder / "a.png", "-o", folder / "o", "--amount", "20")\n'
        'assert np.asarray(Image.open(folder / "o/a.png"))[0, 0, 0] == 110\n'
        'assert tratto.verify(folder / "o/a.png").word == "authentic"\n'
        'assert tratto.replay(folder / "o/a.png").tier == "A"',
        before=("bdf4312",),
    ),
)  # fmt: skip
#: What was found by a dry run of the tree before (options, capability, provider) where no commit stands for it.
DRY_RUN = {"provider": "2", "model card": "2", "option of one task": "5", "option of all tasks": "6",
           "capability": "9 + 2 to 4 new"}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def source_files(folder: Path, commit: str) -> tuple[int, int]:
    """Return how many source files a commit adds and changes."""
    lines = git(folder, "show", "--name-status", "--format=", commit, "--", "src").splitlines()
    files = [line for line in lines if line.endswith(".py")]
    return sum(line.startswith("A") for line in files), sum(line.startswith("M") for line in files)


def main() -> int:
    """Count and print the table; return the exit code."""
    print("| to add | source files before | now: new files | now: files with a row or field more |")
    print("| --- | --- | --- | --- |")
    print(f"| model card | {DRY_RUN['model card']} | 2 (card, weights) | 0 |")
    with tempfile.TemporaryDirectory(prefix="additions-") as made:
        clone = Path(made) / "clone"
        git(HERE, "clone", "--quiet", str(HERE), str(clone))
        for key, value in (("user.name", "Nobody"), ("user.email", "nobody@localhost")):
            git(clone, "config", key, value)
        for addition in ADDITIONS:
            addition.make(clone / "src/tratto")
            git(clone, "add", "-A")
            git(clone, "commit", "--quiet", "-m", addition.name)
            env = {**os.environ, "PYTHONPATH": str(clone / "src")}
            done = subprocess.run(
                [sys.executable, "-c", addition.trial], env=env, cwd=made, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{addition.name}: {done.stderr}", file=sys.stderr)
                return 1
            new, changed = source_files(clone, "HEAD")
            past = [source_files(HERE, c) for c in addition.before]
            before = ", ".join(f"{b} + {a} new" for a, b in past) or DRY_RUN.get(addition.name, "")
            print(f"| {addition.name} | {before} | {new} | {changed} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
