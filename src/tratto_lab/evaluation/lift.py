"""Evaluation of ``lift`` from one photograph: models that nobody trained on, photographed, lifted and turned.

The protocol: from each collection's held-out models (:func:`tratto_lab.corpus.shells.held_out`) those that are not
flat are taken in the order of their names' hashes. Each is photographed from three sides, drawn from ``[seed, name,
number]`` as are elevation (0 to 30 degrees) and light; the model's longest side 1, at a distance of 2,
focal length 1.6 times the side, with transparency. It is looked at again, by the same light, from azimuths of +-30,
+-60 and 180 degrees beside the photograph's, at its elevation, and compared over white: PSNR and SSIM over all pixels,
and LPIPS. Where the camera went is told to every method, as usual for such tables; the elevation is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import InputError
from tratto.scene.camera import Camera, orbit
from tratto.scene.measures import psnr, ssim
from tratto.scene.rasterize import render
from tratto.scene.shell import Shell, framed, gaussians, mirrored, network_input, photographed
from tratto.scene.views import View, visual_hull
from tratto_lab.corpus.objects import Model, Thing, things_in
from tratto_lab.corpus.shells import HELD_OUT_COLLECTION, Light, held_out, look
from tratto_lab.evaluation.measures.choice import Distance, distances

Array = NDArray[np.float32]
DISTANCE, FOCAL = 2.0, 1.6
TURNS = (-60, -30, 30, 60, 180)
WHITE = (1.0, 1.0, 1.0)
#: Models whose shortest side is less than this share of the longest are cards, and left out.
THICK = 0.2
#: ``method(colour, alpha)``: of a photograph, to a scene and its photograph's camera in it.
Method = Callable[[Array, Array], tuple[Scene, Camera]]


@dataclass(frozen=True)
class LiftPlan:
    """What to measure.

    Attributes
    ----------
    models : int
        Of each of the two groups: families held out by name, and the collection held out as a whole.
    photographs : int
        Of each model.
    seed : int
        Of the photographs' directions and light.
    side : int
        Of photographs, of the square that is lifted, and of views, pixels.
    sheet : int
        Lifts that are shown, turned.
    """

    models: int = 24
    photographs: int = 3
    seed: int = 0
    side: int = 256
    sheet: int = 20


@dataclass(frozen=True)
class LiftRow:
    """Means of one method, one group of models and one turn of the camera (0: the photograph itself)."""

    method: str
    group: str
    turn: int
    psnr: float
    ssim: float
    lpips: float | None
    views: int


@dataclass
class LiftReport:
    """All rows of one evaluation."""

    plan: LiftPlan
    distance: str
    models: list[str] = field(default_factory=list)
    rows: list[LiftRow] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)


def _order(thing: Thing) -> bytes:
    return hashlib.sha256(f"lift {thing.name}".encode()).digest()


def subjects(folder: Path, count: int) -> dict[str, list[tuple[Thing, Model]]]:
    """Return models that nobody trained on, by group: ``names`` and ``collection``.

    Raises
    ------
    InputError
        If there is no collection in the folder.
    """
    things = [t for f in sorted(folder.glob("*.sh3f")) for t in things_in(f) if held_out(t)]
    if not things:
        raise InputError(f"{folder} holds no .sh3f file; unpack Debian's package sweethome3d-furniture there")
    groups: dict[str, list[tuple[Thing, Model]]] = {"names": [], "collection": []}
    families: set[str] = set()
    for thing in sorted(things, key=_order):
        group = "collection" if thing.collection == HELD_OUT_COLLECTION else "names"
        if len(groups[group]) >= count or (group, thing.family) in families:
            continue
        try:
            model = Model.read(folder, thing)
        except InputError:
            continue
        if model.sides.min() >= THICK * model.sides.max():
            families.add((group, thing.family))
            groups[group].append((thing, model))
    return groups


@dataclass(frozen=True, eq=False)
class Case:
    """One photograph of a model, and what it looks like from elsewhere, over white."""

    name: str
    camera: Camera
    color: Array
    alpha: Array
    others: Mapping[int, tuple[Camera, Array]]


def photographs(thing: Thing, model: Model, plan: LiftPlan) -> list[Case]:
    """Photograph a model from sides that its name decides."""
    out = []
    name = int.from_bytes(_order(thing)[:4], "big")
    for number in range(plan.photographs):
        rng = np.random.default_rng([plan.seed, name, number])
        azimuth, elevation = float(rng.uniform(0, 360)), float(rng.uniform(0, 30))
        light = Light.drawn(rng)
        cameras = orbit(
            (0, 0, 0),
            DISTANCE,
            [azimuth, *(azimuth + t for t in TURNS)],
            elevation,
            (plan.side, plan.side),
            FOCAL * plan.side,
        )
        color, alpha = look(model, cameras[0], light)
        others = {}
        for turn, camera in zip(TURNS, cameras[1:], strict=True):
            seen, cover = look(model, camera, light)
            others[turn] = (camera, (seen * cover[..., None] + 1 - cover[..., None]).astype(np.float32))
        out.append(Case(f"{thing.name} {number}", cameras[0], color, alpha, others))
    return out


def carried(camera: Camera, photograph: Camera, own: Camera) -> Camera:
    """Return a camera in a lifted scene's world: where it stands beside the photograph's, in the scene's lengths.

    Parameters
    ----------
    camera, photograph : Camera
        In the model's world.
    own : Camera
        The photograph's, in the scene's world.
    """
    turn = camera.r @ photograph.r.T
    move = camera.t - turn @ photograph.t
    scale = own.t[2] / photograph.t[2]
    rotation, translation = turn @ own.r, turn @ own.t + scale * move
    return replace(camera, rotation=tuple(rotation.ravel().tolist()), translation=tuple(translation.tolist()))


# -- who lifts --------------------------------------------------------------------------------------------------------


def by_shell(tell: Callable[[Array], Shell], sides: bool = True) -> Method:
    """Return a method that has a shell told, and makes Gaussians of it."""

    def lift(color: Array, alpha: Array) -> tuple[Scene, Camera]:
        frame = framed(alpha)
        shell = tell(network_input(color, alpha, frame))
        view = photographed(color, alpha, frame, FOCAL * color.shape[1], shell.elevation, len(color))
        return gaussians(view, shell, sides), view.camera

    return lift


def flat_card() -> Method:
    """Return the photograph on a card in the plane of the object's middle."""

    def tell(square: Array) -> Shell:
        shell = mirrored(square[..., :3], square[..., 3])
        return Shell(0 * shell.front, 0 * shell.front, shell.behind, 15.0)

    return by_shell(tell, False)


def mirrored_shell() -> Method:
    """Return the depth shell that nobody learned: inflated from the silhouette, alike behind and before."""

    def tell(square: Array) -> Shell:
        return mirrored(square[..., :3] / np.maximum(square[..., 3:], 1e-3), square[..., 3], 15.0)

    return by_shell(tell)


def balloon(count: int = 20_000) -> Method:
    """Return the visual hull of an object that looks alike from all sides, in the photograph's colours."""

    def lift(color: Array, alpha: Array) -> tuple[Scene, Camera]:
        frame = framed(alpha)
        view = photographed(color, alpha, frame, FOCAL * len(color), 15.0, len(color))
        distance = float(view.camera.t[2])
        ring = orbit((0, 0, 0), distance, list(np.arange(16) * 22.5), 15.0, (len(color), len(color)), view.camera.fx)
        seen = {"cx": view.camera.cx, "cy": view.camera.cy, "translation": view.camera.translation}
        views = [View(replace(c, **seen), view.color, view.alpha) for c in ring]
        scene = visual_hull(views, count, cells=64)
        at, _ = view.camera.project(scene.positions)  # painted from the photograph, before and behind
        x, y = np.clip(np.floor(at), 0, len(color) - 1).astype(int).T
        painted = Scene.of_points(scene.positions, view.color[y, x], np.exp(scene.scales[:, 0]), 0.9)
        return painted, view.camera

    return lift


def evaluate_lift(
    folder: Path, methods: Mapping[str, Method], plan: LiftPlan, told: Callable[[str], None]
) -> tuple[LiftReport, Array | None]:
    """Lift every photograph by every method; return the means, and a sheet of the first method's lifts, turned.

    Parameters
    ----------
    folder : Path
        With ``.sh3f`` files.
    methods : mapping of str to callable
        By name; each makes a scene of a photograph.
    plan : LiftPlan
        How many models and photographs, and of which size.
    told : callable
        Hears each photograph's name.
    """
    found, _ = distances()
    distance: Distance | None = found.get("LPIPS")
    report = LiftReport(plan, "LPIPS" if distance else "")
    values: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    sheet: list[Array] = []
    for group, members in subjects(folder, plan.models).items():
        for place, (thing, model) in enumerate(members):
            report.models.append(thing.name)
            for number, case in enumerate(photographs(thing, model, plan)):
                told(case.name)
                over = case.color * case.alpha[..., None] + 1 - case.alpha[..., None]
                for which, (method, lift) in enumerate(methods.items()):
                    scene, own = lift(case.color, case.alpha)
                    row = [over]
                    for turn, (camera, truth) in {0: (case.camera, over), **case.others}.items():
                        seen = render(scene, carried(camera, case.camera, own), WHITE).color
                        shown = np.clip(seen, 0, 1).astype(np.float32)
                        far = distance(shown, truth) if distance else float("nan")
                        values.setdefault((method, group, turn), []).append(
                            (psnr(shown, truth), ssim(shown, truth.astype(np.float32))[0], far)
                        )
                        row += [shown] if turn == 0 else [truth, shown]
                    if which == 0 and number == 0 and place < plan.sheet // 2:
                        sheet.append(np.concatenate(row, axis=1))
    for (method, group, turn), rows in values.items():
        mean = np.mean(rows, axis=0)
        lpips = round(float(mean[2]), 4) if distance else None
        report.rows.append(
            LiftRow(method, group, turn, round(float(mean[0]), 2), round(float(mean[1]), 4), lpips, len(rows))
        )
    return report, np.concatenate(sheet) if sheet else None


def to_markdown(report: LiftReport) -> str:
    """Return tables of PSNR / SSIM / LPIPS, one for each group; +- of a turn taken together."""
    lines = [
        f"{len(report.models)} models, photographed {report.plan.photographs} times each at {report.plan.side} pixels; "
        f"PSNR in dB / SSIM / {report.distance or 'LPIPS not measured'}, means over views.",
    ]
    for group in dict.fromkeys(r.group for r in report.rows):
        title = {"names": "families held out by name", "collection": f"the collection {HELD_OUT_COLLECTION}"}[group]
        lines += ["", f"{title}:", "", "| method | photograph | 30° | 60° | 180° |", "| --- | --- | --- | --- | --- |"]
        for method in dict.fromkeys(r.method for r in report.rows):
            cells = []
            for turn in (0, 30, 60, 180):
                rows = [r for r in report.rows if (r.method, r.group, abs(r.turn)) == (method, group, turn)]
                quality, likeness = (np.mean([getattr(r, n) for r in rows]) for n in ("psnr", "ssim"))
                far = "" if rows[0].lpips is None else f" / {np.mean([r.lpips for r in rows]):.3f}"
                cells.append(f"{quality:.2f} / {likeness:.3f}{far}")
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def product(shape: str = "auto", steps: int | None = None, refine: int = 0) -> Method:
    """Return what ``tratto lift PHOTO`` does with a photograph that has transparency.

    Parameters
    ----------
    shape : str
        Who tells the shape.
    steps : int or None
        Of the optimiser; None: as the command has it; 0: the shell as it is told.
    refine : int
        Rounds of MVCRM with ``restore``.
    """
    from tratto.core.image import ColorMode, Image
    from tratto.jobs.session import Session
    from tratto.providers.catalogue import open_provider
    from tratto.tasks.lift_photo import LiftPhotoOptions

    teller = open_provider("shell", shape)
    if steps == 0 and not refine:
        return by_shell(teller.tell)
    session = Session()
    given: dict[str, Any] = {"shape": shape, "refine": refine, **({} if steps is None else {"steps": steps})}

    def lift(color: Array, alpha: Array) -> tuple[Scene, Camera]:
        samples, cover = (np.ascontiguousarray(np.rint(255 * p)).astype(np.uint8) for p in (color, alpha))
        angle = float(np.degrees(2 * np.arctan(0.5 / FOCAL)))
        options = LiftPhotoOptions(field_of_view=angle, side=len(color), **given)
        made = session.run("lift-photo", {"picture": Image(samples, ColorMode.RGB, alpha=cover)}, options)
        scene: Any = made.main
        elevation = made.records[-1].scores["elevation"]
        frame = framed(cover / np.float32(255))
        own = photographed(color, alpha, frame, FOCAL * color.shape[1], elevation, len(color)).camera
        return scene, own

    return lift
