"""Comparing a report with one that was made again."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection
from html import unescape

import numpy as np

from tratto.core.errors import ReceiptError
from tratto.provenance.report.plain import text
from tratto.provenance.report.previews import PREVIEW

#: Pictures of a report, by the words that stand for them, that show the state before and after.
SHOWS_BEFORE = frozenset({"The picture before", "Detail before"})
SHOWS_AFTER = frozenset({"The picture after", "Detail after", "The result with its regions numbered"})
# a text in the page holds no plain quotation mark, so only real pictures can match
_PICTURE = re.compile(r'src="data:image/(png|jpeg);base64,([A-Za-z0-9+/=]*)" alt="([^"]*)"')
_MOST = 100
_HEADING = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
# Another version of an encoder or of NumPy: a level of a coloured map may jump by one, at most 13 of 255 in a channel,
# and JPEG rounds otherwise.
_ALIKE = 24


def named_in(report: str) -> str:
    """Return the file name that a report gives to its picture; empty if it gives none.

    Examples
    --------
    >>> named_in("<p>no report</p>")
    ''
    """
    found = _HEADING.search(report)
    return "" if found is None else unescape(found.group(1))


def pictures_in(report: str) -> dict[str, str]:
    """Return the pictures of a report as ``data:`` addresses, by the words that stand for them.

    Raises
    ------
    ReceiptError
        If there are others than a report holds, or one is larger than a report's.
    """
    from PIL import Image as Pil

    found = list(_PICTURE.finditer(report))
    if not 0 < len(found) <= _MOST:
        raise ReceiptError(f"the stored report holds {len(found)} pictures, expected 1 to {_MOST}")
    for one in found:
        try:
            data = base64.b64decode(one.group(2), validate=True)
            with Pil.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                if max(picture.size) > PREVIEW:
                    raise ReceiptError("a picture of the stored report is larger than any that a report holds")
        except (OSError, ValueError, SyntaxError, Pil.DecompressionBombError) as e:
            raise ReceiptError(f"a picture of the stored report cannot be read: {e}") from e
    return {unescape(m.group(3)): f"data:image/{m.group(1)};base64,{m.group(2)}" for m in found}


def with_stored(fresh: str, stored: str, names: Collection[str]) -> str:
    """Return a report with some of its pictures taken from a stored one.

    Parameters
    ----------
    fresh, stored : str
        HTML.
    names : collection of str
        The pictures, by the words that stand for them.

    Raises
    ------
    ReceiptError
        If the stored one does not show one of them, or as for :func:`pictures_in`.

    Examples
    --------
    >>> from tratto.provenance.pictures import ramp_uri
    >>> colors = ("#000000", "#ffffff")
    >>> pictures = [ramp_uri(np.full((2, 2), v, np.float32), 1.0, colors) for v in (0, 1)]
    >>> one, two = (f'<img src="{uri}" alt="After">' for uri in pictures)
    >>> with_stored(one, two, ["After"]) == two, with_stored(one, two, []) == one
    (True, True)
    """
    kept = pictures_in(stored)

    def one(picture: re.Match[str]) -> str:
        name = unescape(picture.group(3))
        if name not in names:
            return picture.group()
        if name not in kept:
            raise ReceiptError(f"the stored report does not show what is not at hand either: {name}")
        return f'src="{kept[name]}" alt="{picture.group(3)}"'

    return _PICTURE.sub(one, fresh)


def input_alt(role: str) -> str:
    """Return the words that stand for the picture of a second input.

    Examples
    --------
    >>> input_alt('character')
    'Input: character'
    """
    return f"Input: {role}"


def as_named(name: str) -> str:
    """Return a file name as :func:`named_in` gives it back: with odd characters made visible.

    Examples
    --------
    >>> as_named("wall.png"), as_named("a\\x07b") == "a\\ufffdb"  # a bell is shown, not rung
    ('wall.png', True)
    """
    return unescape(text(name))


def compare_reports(stored: str, fresh: str, skip: frozenset[str] = frozenset()) -> tuple[str, bool]:
    """Compare a report with one that was made again.

    Parameters
    ----------
    stored, fresh : str
        HTML.
    skip : set of str
        Pictures, by the words that stand for them, that are not compared.

    Returns
    -------
    wrong : str
        What differs; empty if nothing does.
    alike : bool
        True if some picture is not the same byte by byte, but shows the same.

    Examples
    --------
    >>> compare_reports("<p>one</p>", "<p>one</p>"), compare_reports("<p>one</p>", "<p>two</p>")[0] == ""
    (('', False), False)
    """
    if _PICTURE.sub("<picture>", stored) != _PICTURE.sub("<picture>", fresh):
        return "its words or its form differ", False
    alike = False
    for i, (one, two) in enumerate(zip(_PICTURE.finditer(stored), _PICTURE.finditer(fresh), strict=True)):
        if one.group(3) != two.group(3):
            return f"picture {i + 1} of it stands for something else", False
        if unescape(two.group(3)) in skip or one.group() == two.group():
            continue
        if not _look_alike(one.group(2), two.group(2)):
            return f"picture {i + 1} of it shows something else", False
        alike = True
    return "", alike


def _look_alike(one: str, two: str) -> bool:
    from PIL import Image as Pil

    try:
        with Pil.open(io.BytesIO(base64.b64decode(two))) as picture:
            b = np.asarray(picture.convert("RGB")).astype(np.int16)
        # the other comes from the file: nothing is decoded that is not of the size expected
        with Pil.open(io.BytesIO(base64.b64decode(one, validate=True)), formats=("PNG", "JPEG")) as picture:
            if picture.size != (b.shape[1], b.shape[0]):
                return False
            a = np.asarray(picture.convert("RGB")).astype(np.int16)
    except (OSError, ValueError, SyntaxError, Pil.DecompressionBombError):
        return False
    return int(np.abs(a - b).max()) <= _ALIKE
