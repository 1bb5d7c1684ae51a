"""Named words of the user: a TOML file of templates, used wherever a task takes words.

``~/.config/tratto/prompts.toml`` (or the file that ``TRATTO_PROMPTS`` names) holds

.. code-block:: toml

    [templates]
    albumen = "{words}, albumen print of about 1870, warm tone"

and ``--template albumen --caption "a harbor"`` then means *a harbor, albumen print of about 1870, warm tone*.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

from tratto.core.errors import InputError, OptionError
from tratto.core.files import write_text
from tratto.core.reading import small_text

#: Stands in a template for the words that are given with it.
WORDS = "{words}"
#: Longest template, in characters.
LONGEST = 2000
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,60}")


def prompts_file() -> Path:
    """Return the file of templates; it need not exist."""
    env = os.environ
    if env.get("TRATTO_PROMPTS"):
        return Path(env["TRATTO_PROMPTS"]).expanduser()
    base = Path(env["XDG_CONFIG_HOME"]).expanduser() if env.get("XDG_CONFIG_HOME") else Path.home() / ".config"
    return base / "tratto" / "prompts.toml"


def read_templates(path: Path | None = None) -> dict[str, str]:
    """Return all templates by name, in order; none if there is no file.

    Parameters
    ----------
    path : Path or None
        None: :func:`prompts_file`.

    Raises
    ------
    InputError
        If the file is not of this form.

    Examples
    --------
    >>> read_templates(Path("/nowhere/prompts.toml"))
    {}
    """
    path = prompts_file() if path is None else path
    if not os.path.lexists(path):
        return {}
    try:
        found = tomllib.loads(small_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise InputError(f"{path} is no TOML: {e}") from e
    templates = found.get("templates")
    if not isinstance(templates, dict) or set(found) != {"templates"}:
        raise InputError(f'{path} must hold one table, [templates], with lines such as albumen = "{WORDS}, albumen"')
    for name, text in templates.items():
        _check(name, text, str(path))
    return dict(sorted(templates.items()))


def write_templates(templates: dict[str, str], path: Path | None = None) -> Path:
    """Write all templates; return the file.

    Raises
    ------
    OptionError
        If a name or text is none.
    OutputError
        If the file cannot be written.
    """
    path = prompts_file() if path is None else path
    for name, text in templates.items():
        _check(name, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a JSON string of ASCII is a TOML string, too
    lines = [f"{name} = {json.dumps(text)}\n" for name, text in sorted(templates.items())]
    write_text(path, "[templates]\n" + "".join(lines))
    return path


def filled(name: str, words: str = "", path: Path | None = None) -> str:
    """Return the text of a template with the words that were given.

    Raises
    ------
    OptionError
        If there is none of that name, or words are missing or too many.
    """
    templates = read_templates(path)
    if name not in templates:
        there = ", ".join(templates) or f"none; write them into {prompts_file().name}, or: tratto prompts add NAME TEXT"
        raise OptionError(f"no template is called {name[:60]!r}; there are {there}")
    text = templates[name]
    if (WORDS in text) != bool(words.strip()):
        need = "needs words to stand in it" if WORDS in text else f"has no {WORDS} where the given words could stand"
        raise OptionError(f"the template {name} {need}: {text[:200]!r}")
    made = text.replace(WORDS, words.strip())
    if len(made) > LONGEST:
        raise OptionError(f"the template {name} with these words has {len(made)} characters, the limit is {LONGEST}")
    return made


def _check(name: object, text: object, where: str = "") -> None:
    """Refuse what is no template."""
    kind, lead = (InputError, f"{where}: ") if where else (OptionError, "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise kind(f"{lead}a template is called with letters, digits, - and _, at most 61, got {str(name)[:80]!r}")
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST or not text.replace("\n", " ").isprintable():
        raise kind(f"{lead}the template {name} must be a text of 1 to {LONGEST} printable characters")
