"""The jobs as plain functions, for callers that need no session of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import Depth
from tratto.core.inspection import Inspection
from tratto.core.result import Result
from tratto.jobs import writing
from tratto.jobs.faces import Face
from tratto.jobs.options import EXTENSIONS, Saved, SaveOptions, as_path
from tratto.jobs.replaying import Replayed
from tratto.jobs.session import Session
from tratto.provenance.audit import AuditRow
from tratto.provenance.consistency import Known
from tratto.provenance.trust import Trust
from tratto.provenance.verify import Verdict
from tratto.tasks import Task
from tratto.tasks.doors import in_python


def job_function(task: Task) -> Callable[..., Result]:
    """Return a task as a plain function: ``tratto.restore`` and its like.

    Its signature and docstring show the task's inputs and options; see :mod:`tratto.tasks.doors`.
    """
    from tratto.core.options import SDK, entries
    from tratto.tasks.doors import docstring, signature

    roles = [i.role for i in task.inputs[1:]]
    made_of = [i.role for i in task.inputs if i.becomes]

    def job(
        picture: Any, options: Any = None, *, page: int | None = None, session: Session | None = None, **given: Any
    ) -> Result:
        from tratto.imaging.opening import open_single

        shared = session or Session()
        inputs = {role: given.pop(role, None) for role in roles}
        if options is None:
            options = task.model.of(given, inputs, lambda given: open_single(given, "swatch", shared.limits))
        elif given or any(inputs[role] is not None for role in made_of):
            raise OptionError("give either options or keywords, not both")
        task.check(options, inputs)
        kept = {role: value for role, value in inputs.items() if role not in made_of}
        return shared.run(task.name, {"picture": picture, **kept}, options, page)

    made: Any = in_python(job)
    del made.__wrapped__  # its own signature counts, not that of the function inside
    made.__name__ = made.__qualname__ = task.name
    made.__module__ = "tratto"
    made.__doc__ = docstring(task)
    made.__signature__ = signature(task)
    # what a type checker reads is in functions.pyi; who asks at run time gets the types themselves
    made.__annotations__ = {
        "picture": Any,
        "options": task.model | None,
        **dict.fromkeys(roles, Any),
        "page": int | None,
        "session": Session | None,
        **{e.name: e.info.annotation for e in entries(task.model, SDK)},
        "return": Result,
    }
    function: Callable[..., Result] = made
    return function


@in_python
def save(
    result: Result,
    output: Path | str | BinaryIO,
    options: SaveOptions | None = None,
    *,
    source: Any = None,
    overwrite: bool = False,
) -> Saved:
    """Write a result and its bundle; see :meth:`Session.save`. Earlier results stay unless ``overwrite`` is true.

    Into a file object goes a ZIP archive that holds both, ``result.png`` (or as the options' format says) and
    ``result.tratto/``; unpacked, they verify. ``Result.to_pil`` is the picture alone.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> saved.output.name, saved.bundle.name
    ('wall.png', 'wall.tratto')
    """
    target: Any = output
    if hasattr(target, "write"):
        return _save_archive(result, target, options, source)
    return Session().save(result, target, options, source, overwrite)


def _save_archive(result: Result, stream: BinaryIO, options: SaveOptions | None, source: Any) -> Saved:
    import tempfile
    import zipfile

    save = options or SaveOptions()
    with tempfile.TemporaryDirectory(prefix="tratto-") as folder:
        extension = (
            f".{result.main.format}"
            if result.image is None
            else EXTENSIONS[writing.output_format(result.image, save)][0]
        )
        saved = Session().save(result, Path(folder, f"result{extension}"), options, source)
        with zipfile.ZipFile(stream, "w") as archive:  # pictures are compressed already
            for path in sorted(Path(folder).rglob("*")):
                archive.write(path, path.relative_to(folder).as_posix())
    return replace(saved, output=Path(saved.output.name), bundle=Path(saved.bundle.name))


@in_python
def inspect(picture: Any, page: int = 0) -> Inspection:
    """Say what is wrong with a picture: noise, JPEG quality, blur, earlier enlargement, clipping.

    Examples
    --------
    >>> import numpy as np
    >>> inspect(np.full((64, 64, 3), 90, np.uint8)).width
    64
    """
    return Session().inspect(picture, page)


@in_python
def find_faces(picture: Any, page: int = 0) -> tuple[Face, ...]:
    """Find the faces of a picture, the largest first; none is an answer.

    Parameters
    ----------
    picture : path, PIL picture or array
        As :func:`tratto.restore` takes one.
    page : int
        Of a file with several, from 0.

    Returns
    -------
    tuple of Face
        Each with its box, points and pose; :func:`tratto.jobs.faces.distance` says how alike two are.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> tratto.find_faces(np.full((64, 64, 3), 128, np.uint8))  # a plain wall
    ()
    """
    from tratto.imaging.opening import as_shown
    from tratto.jobs.faces import faces_of

    session = Session()
    return faces_of(as_shown(session.open(picture, page)), session.job().services())


@in_python
def estimate_depth(picture: Any, model: Path | str = "", page: int = 0) -> Depth:
    """Estimate how far everything in a picture is, with a network from a folder.

    Parameters
    ----------
    picture : path, PIL picture or array
        As :func:`tratto.restore` takes one.
    model : path or str
        A folder with MiDaS 3 (DPT), Depth Anything or ZoeDepth in the layout of transformers, the ONNX file of MiDaS
        2.1, or the id of a card that was pulled; "": Depth Anything V2 small, where it was pulled; ``"geometric"``: a
        stand-in that sees no pixel.
    page : int
        Of a file with several, from 0.

    Returns
    -------
    Depth
        (H, W) float32 of the picture as it is shown, upright; ``unit`` and ``nearer_is`` say what its numbers are.

    Raises
    ------
    UnavailableError
        If the extra ``diffusion`` or the weights are missing.
    OptionError, WeightMismatch, UnsupportedFormat
        If the folder holds no such network, broken weights, or pickles.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> depth = tratto.estimate_depth(np.zeros((8, 6, 3), np.uint8), "geometric")
    >>> depth.values.shape, depth.unit
    ((8, 6), 'relative')
    """
    estimator, shown = _depth_estimator(picture, model, page)
    made: Depth = estimator.estimate(shown)
    return made


@in_python
def estimate_depth_confidence(picture: Any, model: Path | str = "", page: int = 0) -> tuple[Depth, NDArray[np.float32]]:
    """Estimate depth as :func:`estimate_depth` does, several times, and say how far the estimates agree.

    Returns
    -------
    Depth
        The median of the picture's, its mirror image's, and those of it at 0.75 and 1.25 times its size.
    (H, W) float32 in [0, 1]
        How well they agree; 1 = fully. See :func:`tratto.providers.depth.confident`.

    Raises
    ------
    TrattoError
        As for :func:`estimate_depth`.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> depth, confidence = tratto.estimate_depth_confidence(np.zeros((8, 6, 3), np.uint8), "geometric")
    >>> confidence.shape, bool(confidence.max() <= 1)
    ((8, 6), True)
    """
    from tratto.providers.depth import confident

    return confident(*_depth_estimator(picture, model, page))


def _depth_estimator(picture: Any, model: Path | str, page: int) -> tuple[Any, NDArray[np.float32]]:
    from tratto.imaging.opening import as_shown
    from tratto.providers.catalogue import settle
    from tratto.providers.depth import depth_use

    session = Session()
    use = settle(depth_use(str(model)), session.device)
    return session.job().services().open(use), as_shown(session.open(picture, page))


@in_python
def replay(receipt: Path | str, source: Any = None, inputs: Mapping[str, Any] | None = None) -> Replayed:
    """Do a job again from its receipt and say how exactly it agrees; see :meth:`Session.replay`.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> photo = np.full((16, 16, 3), 90, np.uint8)
    >>> saved = tratto.save(tratto.restore(photo), Path(tempfile.mkdtemp()) / "wall.png")
    >>> tratto.replay(saved.bundle, photo).tier
    'A'
    """
    return Session().replay(receipt, source, inputs)


def verify(path: Path | str, trust: Trust | None = None, bundle: Path | str | None = None) -> Verdict:
    """Say whether a result and its account are unchanged; see ``tratto.provenance.verify``.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> tratto.verify(saved.output).word
    'authentic'
    """
    from tratto.provenance.verify import verify as check

    return check(path, known=known_models(), trust=trust, bundle=bundle)


@in_python
def audit(
    folder: Path | str,
    trust: Trust | None = None,
    *,
    deep: bool = True,
    replay: bool = False,
    unsupported: bool = False,
    clip: Path | str = "",
    state: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[AuditRow]:
    """Verify everything below a folder; see ``tratto.provenance.audit``.

    Parameters
    ----------
    folder : path
        Searched with its sub-folders.
    trust : Trust or None
        Keys, roots and a ledger to rely on.
    deep : bool
        False compares hashes and signatures only.
    replay : bool
        Do every job again and note the tier it reaches.
    unsupported : bool
        Measure what each result shows that its source does not support; see ``tratto.provenance.unsupported``.
    clip : path
        Folder of a CLIP network that compares meanings for it, too.
    state : path or None
        A file that remembers each verdict, so that an audit that was stopped goes on.
    progress : callable or None
        Called with how many of how many are done.

    Returns
    -------
    list of AuditRow
        One for each bundle and each picture without one.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), folder / "wall.png")
    >>> [(row.path, row.word) for row in tratto.audit(folder)]
    [('wall.tratto', 'authentic')]
    """
    from tratto.jobs.support import measure_unsupported
    from tratto.provenance.audit import AuditOptions
    from tratto.provenance.audit import audit as run
    from tratto.provenance.trust import Trust as Nobody

    session = Session()
    again = (lambda bundle: session.replay(bundle).tier) if replay else None
    measure = (lambda bundle: measure_unsupported(session.job(), bundle, str(clip))) if unsupported or clip else None
    options = AuditOptions(deep, known_models(), trust or Nobody(), again, measure)
    return run(as_path(folder, "a folder"), options, None if state is None else Path(state), progress)


def known_models() -> Known:
    """Return what is known here of models and providers, for ``verify``, which lies below both and cannot ask.

    Examples
    --------
    >>> known_models().models["tratto-inpaint"].generative
    True
    """
    from tratto._version import __version__
    from tratto.models.store import all_cards
    from tratto.provenance.consistency import Known, KnownModel
    from tratto.providers.catalogue import CATALOGUE, Row
    from tratto.steps import step_class

    cards = all_cards()
    former: dict[str, tuple[str, ...]] = {}
    for card in cards.values():
        if card.formerly:
            former[card.formerly] = (*former.get(card.formerly, ()), card.sha256)
    by_name: dict[str, list[Row]] = {}
    for rows in CATALOGUE.values():
        for name, row in rows.items():
            by_name.setdefault(name, []).append(row)
    return Known(
        models={
            i: KnownModel(c.sha256, c.licence, c.commercial_use, c.generative, former.get(i, ()))
            for i, c in cards.items()
        },
        # "tratto" names an inpainter, which says of itself that it invents, and a restorer, which does not: what a
        # claim of less could contradict is only what every provider of that name does
        providers={n: all(r.generative for r in rs) for n, rs in by_name.items()} | {"given": False},
        version=__version__,
        steps=step_class,
    )


@in_python
def revert(path: Path | str, to: Path | str, overwrite: bool = False) -> Path:
    """Write the exact bytes of the original; see ``tratto.provenance.bundle``.

    Examples
    --------
    >>> import tempfile, tratto
    >>> from PIL import Image as Pil
    >>> folder = Path(tempfile.mkdtemp())
    >>> Pil.new("RGB", (16, 16), "grey").save(folder / "wall.bmp")
    >>> saved = tratto.save(tratto.restore(folder / "wall.bmp"), folder / "wall.png", source=folder / "wall.bmp")
    >>> tratto.revert(saved.output, folder / "again.bmp").read_bytes() == (folder / "wall.bmp").read_bytes()
    True
    """
    from tratto.provenance.bundle import revert as undo

    return undo(as_path(path, "a picture or its bundle"), as_path(to, "where to write the original"), overwrite)
