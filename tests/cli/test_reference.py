"""Files that are rendered from the models of the options are as they would be rendered now."""

from pathlib import Path

from tratto.cli import reference
from tratto.core.options import COMMON, entries
from tratto.tasks import TASKS
from tratto.tasks.doors import type_stub

ROOT = Path(__file__).parents[2]


def test_the_reference_page_is_as_rendered():
    """After a change: python -m tratto.cli.reference > docs/reference.md."""
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.page()


def test_the_types_are_as_rendered():
    """After a change: python -m tratto.cli.reference types > src/tratto/jobs/functions.pyi."""
    assert (ROOT / "src" / "tratto" / "jobs" / "functions.pyi").read_text(encoding="utf-8") == type_stub()


def test_every_option_stands_in_the_page():
    page = reference.page()
    for model in (*(t.model for t in TASKS), *COMMON):
        for entry in entries(model, "cli"):
            assert f"`{entry.flag}` |" in page, entry.name
    for task in TASKS:
        for item in task.inputs[1:]:
            assert f"| `{item.flag}` | `{item.role}` |" in page
