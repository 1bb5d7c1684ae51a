"""The jobs as plain functions, for callers that need no session of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.result import Result
from tratto.session.jobs import Session
from tratto.session.options import Saved, SaveOptions, as_path
from tratto.session.replaying import Replayed

if TYPE_CHECKING:
    from tratto.provenance.audit import AuditRow
    from tratto.provenance.consistency import Known
    from tratto.provenance.trust import Trust
    from tratto.provenance.verify import Verdict
    from tratto.tasks.recolor import RecolorOptions
    from tratto.tasks.repair import RepairOptions
    from tratto.tasks.restore import RestoreOptions


def restore(
    picture: Any,
    options: RestoreOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Remove noise, JPEG artefacts and mild blur; enlarge two or four times.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
    options : RestoreOptions or None
        Or give its fields as keywords: ``scale``, ``strength``, ``noise_sigma``, ``provider`` ...
    mask : path, array, PIL picture or Mask
        Where the picture may change; in the geometry a viewer shows. See :meth:`Session.open_mask`.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
        To share opened networks and set limits; None makes a new one.
    **fields
        See :class:`tratto.RestoreOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.restore import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).restore(picture, options or make_options(**fields), mask, page)


def repair(
    picture: Any,
    options: RepairOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Fill cracks, scratches, stains and missing parts; pixels outside the mask stay bit-identical.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
    options : RepairOptions or None
        Or give its fields as keywords: ``method``, ``grow``, ``blend``, ``caption``, ``seed`` ...
    mask : path, array, PIL picture or Mask; a mapping or sequence of these; or ``"auto"``
        White where it is damaged; in the geometry a viewer shows. A mapping, or a folder, has a mask for each class of
        damage; a sequence has one, or a mapping, for each pass; ``"auto"``: a network proposes it.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
    **fields
        See :class:`tratto.RepairOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.repair import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).repair(picture, options or make_options(**fields), mask, page)


def recolor(
    picture: Any,
    options: RecolorOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Repaint a wall in exactly one colour or with a wallpaper, under its own light.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
        RGB.
    options : RecolorOptions or None
        Or give its fields as keywords: ``color="#c8d4e0"``, ``match``, ``was``, ``clicks`` ...
    mask : path, array or Mask
        White where the wall is; in the geometry a viewer shows. Without it the wall is searched from ``clicks``.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
    **fields
        See :class:`tratto.RecolorOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.recolor import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).recolor(picture, options or make_options(**fields), mask, page)


def save(
    result: Result,
    output: Path | str,
    options: SaveOptions | None = None,
    *,
    source: Any = None,
    overwrite: bool = False,
) -> Saved:
    """Write a result and its bundle; see :meth:`Session.save`. Earlier results stay unless ``overwrite`` is true."""
    return Session().save(result, output, options, source, overwrite)


def inspect(picture: Any, page: int = 0) -> Inspection:
    """Say what is wrong with a picture: noise, JPEG quality, blur, earlier enlargement, clipping."""
    return Session().inspect(picture, page)


def replay(receipt: Path | str, source: Any = None) -> Replayed:
    """Do a job again from its receipt and say how exactly it agrees; see :meth:`Session.replay`."""
    return Session().replay(receipt, source)


def verify(path: Path | str, trust: Trust | None = None, bundle: Path | str | None = None) -> Verdict:
    """Say whether a result and its account are unchanged; see ``tratto.provenance.verify``."""
    from tratto.provenance.verify import verify as check

    return check(path, known=known_models(), trust=trust, bundle=bundle)


def audit(
    folder: Path | str,
    trust: Trust | None = None,
    *,
    deep: bool = True,
    replay: bool = False,
    state: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[AuditRow]:
    """Verify everything below a folder; see ``tratto.provenance.audit``.

    Parameters
    ----------
    folder : path
    trust : Trust or None
        Keys, roots and a ledger to rely on.
    deep : bool
        False compares hashes and signatures only.
    replay : bool
        Do every job again and note the tier it reaches.
    state : path or None
        A file that remembers each verdict, so that an audit that was stopped goes on.
    progress : callable or None
        Called with how many of how many are done.

    Returns
    -------
    list of AuditRow
    """
    from tratto.provenance.audit import AuditOptions
    from tratto.provenance.audit import audit as run
    from tratto.provenance.trust import Trust as Nobody

    session = Session()
    again = (lambda bundle: session.replay(bundle).tier) if replay else None
    options = AuditOptions(deep=deep, known=known_models(), trust=trust or Nobody(), replay=again)
    return run(as_path(folder, "a folder"), options, None if state is None else Path(state), progress)


def known_models() -> Known:
    """Return what is known here of models and providers, for ``verify``, which lies below both and cannot ask."""
    from tratto._version import __version__
    from tratto.models.store import all_cards
    from tratto.provenance.consistency import Known, KnownModel
    from tratto.providers.caption import CAPTIONERS
    from tratto.providers.inpainter import INPAINTERS
    from tratto.providers.restorer import RESTORERS
    from tratto.steps import step_class

    cards = all_cards()
    return Known(
        models={i: KnownModel(c.sha256, c.licence, c.commercial_use, c.generative) for i, c in cards.items()},
        # the in-painter of the same name says of itself that it invents, which a claim of less cannot contradict
        providers=dict.fromkeys(INPAINTERS, True)
        | dict.fromkeys((*CAPTIONERS, "given"), False)  # words change no pixel
        | {n: row.generative for n, row in RESTORERS.items()},
        version=__version__,
        steps=step_class,
    )


def revert(path: Path | str, to: Path | str) -> Path:
    """Write the exact bytes of the original; see ``tratto.provenance.bundle``."""
    from tratto.provenance.bundle import revert as undo

    return undo(as_path(path, "a picture or its bundle"), as_path(to, "where to write the original"))
