"""``tratto mask edit``: the mask editor of the web page as one file, for work in a browser without a server."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from html import escape
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import (
    AsJson,
    PageNumber,
    check_new_png,
    make_folder,
    open_page,
    path_argument,
    path_option,
    printable,
    say,
)
from tratto.core.errors import OutputError

#: Longest side of the picture in the page, pixels; the mask is of the picture's own size.
PREVIEW = 4096
#: The modules of the editor, each after those it imports; the names at their top are all different.
MODULES = ("dom.js", "mask.js", "view.js", "editor.js", "standalone.js")
#: What the command of a task needs beside picture and mask.
NEEDED = {"recolor": ' --color "#c8d4e0"'}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; style-src '{style_hash}'; \
script-src '{script_hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="page" class="alone"></main>
<script type="application/json" id="given">{given}</script>
<script type="module">{script}</script>
</body>
</html>
"""


@exits
def edit(
    picture: Annotated[Path, path_argument("Picture it is for.", metavar="PICTURE")],
    out: Annotated[
        Path | None, path_option("PNG that the page will save; the page itself is NAME.html beside it.", "--out", "-o")
    ] = None,
    launch: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    number: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write a page to draw a mask in a browser: one file with the picture in it, which sends nothing anywhere.

    It has brush, eraser, polygon, lasso, magic wand and points on a wall, saves the mask as a download, and shows the
    command to run with it.
    """
    from tratto.core.files import write_text

    mask = out or Path(f"{picture.stem}.mask.png")
    check_new_png(mask, [picture], True, "a mask")
    page = mask.with_suffix(".html")
    if page.is_dir() or (page.exists() and not overwrite):
        raise OutputError(f"{page} exists; choose another name with --out, or replace it with --overwrite")
    text = editor_page(picture, mask, number)
    make_folder(page.parent)
    write_text(page, text)
    say(as_json, {"page": str(page), "mask": str(mask)}, f"{page}: open it in a browser; it saves {mask.name}")
    if launch:
        typer.launch(page.resolve().as_uri())
    return 0


def editor_page(picture: Path, mask: Path, number: int | None = None) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    picture : Path
        Read as a viewer shows it; larger ones are reduced to 4096 pixels a side for the page alone.
    mask : Path
        Under which name the page offers the mask, a grey PNG of the picture's own size.
    number : int or None
        Page of a file with several, from 1.

    Raises
    ------
    InputError
        If the picture cannot be read.

    Examples
    --------
    >>> editor_page(Path("photo.jpg"), Path("mask.png"))[:15]  # doctest: +SKIP
    '<!DOCTYPE html>'
    """
    import numpy as np

    from tratto.imaging import io
    from tratto.provenance import pictures
    from tratto.tasks import TASKS

    image = open_page(picture, number)
    turn = image.meta.orientation
    shown = pictures.on_checkers(pictures.shrink(pictures.view_of(image), PREVIEW))
    given = {
        "name": printable(picture.name),
        "width": image.height if turn >= 5 else image.width,
        "height": image.width if turn >= 5 else image.height,
        "mask": mask.name,
        "picture": pictures.jpeg_uri(np.ascontiguousarray(io.oriented(shown, turn))),
        "wall": f"tratto mask wall {_word(picture)} -o {_word(mask)}",
        "commands": {
            task.name: f"tratto {task.name} {_word(picture)} -o out --mask {_word(mask)}{NEEDED.get(task.name, '')}"
            for task in sorted(TASKS, key=lambda t: not _of(t, "mask").missing)
            if _of(task, "mask").role
        },
    }
    style, script = _file("styles.css"), "\n".join(map(_unwrapped, MODULES))
    return _PAGE.format(
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        title=escape(f"Mask of {given['name']}"),
        given=json.dumps(given).replace("<", "\\u003c"),  # a name may hold </script>
    )


def _of(task: Any, kind: str) -> Any:
    """Return the first input of a kind; one without a role if there is none."""
    from tratto.tasks import Input

    return next((i for i in task.inputs if i.kind == kind), Input(""))


def _word(path: Path) -> str:
    """Return a name as a command line takes it."""
    return printable(shlex.quote(path.name if path.name[:1] != "-" else f"./{path.name}"))


def _file(name: str) -> str:
    return resources.files("tratto").joinpath("server", "page", name).read_text("utf-8")


def _unwrapped(name: str) -> str:
    """Return a module as a part of one script: without its imports and exports."""
    text = re.sub(r"^import [^;]*;\n", "", _file(name), flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
