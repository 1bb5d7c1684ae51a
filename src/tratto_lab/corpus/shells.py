"""A pack of models seen from many sides: for each view the picture, and along each ray where the model begins and ends.

A pack is a folder with ``views.u8`` and ``index.json``. A view has :data:`SIDE` squared pixels of :data:`DEPTH` bytes
(see :class:`ShellView`); everything follows from the model's name, the view's number and the seed. The silhouette fills
``FILL`` pixels of the picture along its longer side, and depths are told in units of that: at the distance of the
model's middle, 1 is as long as the silhouette.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OutputError
from tratto.scene.camera import Camera, orbit
from tratto.scene.shell import FILL, SIDE
from tratto_lab.corpus.objects import Model, Thing, things_in

log = logging.getLogger(__name__)
Float = NDArray[np.float64]
#: Bytes of a pixel: picture and cover (4), colour behind (3), normal (3), two depths (2 x 2).
DEPTH = 14
#: The collection that is never trained on.
HELD_OUT_COLLECTION = "KatorLegaz"
#: One family of models in so many is never trained on, either.
HELD_OUT_EVERY = 9
#: Models whose shortest side is less than this share of the longest are left out: they are cards already.
THINNEST = 0.06
#: Standard deviation of the logarithm by which a model that is trained on is stretched along each axis.
STRETCH = 0.2
#: Places along each axis between which a model is bent, evenly from one end of it to the other.
_KNOTS = 9


def held_out(thing: Thing) -> bool:
    """Return whether a model is never trained on: by its family's name, or with its whole collection."""
    digest = hashlib.sha256(thing.family.encode()).digest()
    return thing.collection == HELD_OUT_COLLECTION or int.from_bytes(digest[:4], "big") % HELD_OUT_EVERY == 0


@dataclass(frozen=True)
class Light:
    """What falls on a model: from everywhere, from above, and from one direction; colours multiply the surface's.

    Attributes
    ----------
    ambient, sky, sun, shine : float
        Shares; the first three sum to 1. Shine is added where the direction is mirrored.
    direction : tuple of 3 float
        Towards the light.
    tint : tuple of 3 float
        Factors of R, G and B.
    """

    ambient: float = 0.65
    sky: float = 0.0
    sun: float = 0.35
    shine: float = 0.0
    direction: tuple[float, float, float] = (0.4082, -0.8165, -0.4082)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def on(self, colors: Float, normals: Float, rays: Float) -> Float:
        """Return lit colours (N, 3), encoded sRGB."""
        way = np.asarray(self.direction)
        share = self.ambient + self.sky * (0.5 - 0.5 * normals[:, 1]) + self.sun * np.clip(normals @ way, 0, 1)
        out = colors * share[:, None] * self.tint
        if self.shine:
            half = way - rays
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            out = out + self.shine * np.clip(np.einsum("nj,nj->n", normals, half), 0, 1)[:, None] ** 40
        return np.clip(out, 0, 1)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Light:
        """Draw a light from above, from any side."""
        turn, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1.4)
        way = (np.cos(height) * np.cos(turn), -np.sin(height), np.cos(height) * np.sin(turn))
        shares = rng.dirichlet((4.0, 2.0, 3.0))
        shine = float(rng.uniform(0.1, 0.5)) if rng.uniform() < 0.2 else 0.0
        tint = 1 + rng.uniform(-0.08, 0.08, 3)
        return cls(*(float(s) for s in shares), shine, way, tuple(float(t) for t in tint))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class ShellView:
    """One view of a model.

    Attributes
    ----------
    color : (H, W, 3) float32
        Encoded sRGB in [0, 1], of what covers a pixel; 0 where nothing does.
    alpha : (H, W) float32
        Share of a pixel that is covered.
    front, back : (H, W) float32
        Where the ray through a pixel first and last meets the model: along the axis from the model's middle,
        away from the camera, in lengths of the silhouette. NaN: nowhere.
    behind : (H, W, 3) float32
        Colour where it last meets it, as lit there.
    normal : (H, W, 3) float32
        At the first, in the camera's frame, towards it.
    """

    color: NDArray[np.float32]
    alpha: NDArray[np.float32]
    front: NDArray[np.float32]
    back: NDArray[np.float32]
    behind: NDArray[np.float32]
    normal: NDArray[np.float32]


def framed(model: Model, azimuth: float, elevation: float, wide: float, fill: float = FILL, side: int = SIDE) -> Camera:
    """Return a camera that looks at a model from its box's middle, moved and zoomed so that it fills the picture.

    Parameters
    ----------
    model : Model
        What is looked at.
    azimuth, elevation : float
        Degrees.
    wide : float
        Degrees that the model's longest side would span.
    fill : float
        Pixels of the silhouette's longer side.
    side : int
        Of the picture, pixels.
    """
    distance = 0.5 / np.tan(np.radians(wide) / 2)
    (camera,) = orbit((0, 0, 0), distance, [azimuth], elevation, (side, side), float(side))
    at, depth = camera.project(model.vertices)
    at = at[depth > 0.05 * distance]
    low, high = at.min(axis=0), at.max(axis=0)
    scale = fill / float((high - low).max())
    middle = (low + high) / 2
    return Camera(
        side, side, camera.fx * scale, camera.fy * scale, side / 2 - scale * (middle[0] - camera.cx),
        side / 2 - scale * (middle[1] - camera.cy), camera.rotation, camera.translation,
    )  # fmt: skip


def rays_of(camera: Camera, finer: int) -> tuple[Float, Float]:
    """Return start and direction (length 1) of ``finer`` squared rays for each pixel, row by row, (N, 3) each."""
    large = camera.resized(camera.width * finer, camera.height * finer)
    y, x = np.mgrid[0 : large.height, 0 : large.width] + 0.5
    rays = np.stack([(x - large.cx) / large.fx, (y - large.cy) / large.fy, np.ones_like(x)], axis=-1) @ large.r
    rays = rays.reshape(-1, 3)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    return np.broadcast_to(large.center, rays.shape), rays


def look(model: Model, camera: Camera, light: Light, finer: int = 2) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a picture (H, W, 3) and its cover (H, W): what the first surface that a ray meets looks like."""
    start, rays = rays_of(camera, finer)
    seen = model.cast(start, rays)
    rgba = np.zeros((len(rays), 4))
    rgba[seen.ray, :3], rgba[seen.ray, 3] = light.on(seen.colors, seen.normals, rays[seen.ray]), 1
    return _averaged(rgba, camera, finer)


def _averaged(rgba: Float, camera: Camera, finer: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean = rgba.reshape(camera.height, finer, camera.width, finer, 4).mean(axis=(1, 3))
    alpha = mean[..., 3]
    return (mean[..., :3] / np.maximum(alpha, 1e-6)[..., None]).astype(np.float32), alpha.astype(np.float32)


def view_of(model: Model, camera: Camera, light: Light, finer: int = 2, fill: float = FILL) -> ShellView:
    """Cast a view: colours are means over a pixel, depths and normals those of one of its rays."""
    start, rays = rays_of(camera, finer)
    seen = model.cast(start, rays)
    far = float(np.linalg.norm(camera.center)) + 2
    hidden = model.cast(start[seen.ray] + far * rays[seen.ray], -rays[seen.ray])
    rgba = np.zeros((len(rays), 4))
    rgba[seen.ray, :3], rgba[seen.ray, 3] = light.on(seen.colors, seen.normals, rays[seen.ray]), 1
    color, alpha = _averaged(rgba, camera, finer)
    middle = float(camera.t[2])  # of the model, which stands at the origin
    unit = fill * middle / camera.fx
    rows = np.full((len(rays), 8), np.nan)
    rows[seen.ray, 0] = ((seen.points @ camera.r.T + camera.t)[:, 2] - middle) / unit
    rows[seen.ray, 2:5] = seen.normals @ camera.r.T
    ray = seen.ray[hidden.ray]
    rows[ray, 1] = ((hidden.points @ camera.r.T + camera.t)[:, 2] - middle) / unit
    rows[ray, 5:] = light.on(hidden.colors, hidden.normals, -rays[ray])
    per_pixel = rows.reshape(camera.height, finer, camera.width, finer, 8).transpose(0, 2, 1, 3, 4)
    per_pixel = per_pixel.reshape(camera.height, camera.width, finer * finer, 8)
    there = ~np.isnan(per_pixel[..., :2]).any(axis=-1)
    first = there.argmax(axis=-1)
    chosen = np.take_along_axis(per_pixel, first[..., None, None], axis=2)[:, :, 0]
    chosen[~there.any(axis=-1)] = np.nan
    front, back = chosen[..., 0], np.maximum(chosen[..., 1], chosen[..., 0])
    f = np.float32
    return ShellView(
        color, alpha, front.astype(f), back.astype(f),
        np.nan_to_num(chosen[..., 5:]).astype(f), np.nan_to_num(chosen[..., 2:5]).astype(f),
    )  # fmt: skip


def packed(view: ShellView) -> NDArray[np.uint8]:
    """Return a view as bytes, (H, W, DEPTH)."""
    rgba = np.concatenate([view.color, view.alpha[..., None], view.behind], axis=-1)
    depths = np.stack([view.front, view.back], axis=-1).astype(np.float16)
    return np.concatenate([
        np.rint(255 * np.clip(rgba, 0, 1)).astype(np.uint8),
        np.rint(127 * view.normal).astype(np.int8).view(np.uint8),
        depths.view(np.uint8),
    ], axis=-1)  # fmt: skip


def unpacked(data: NDArray[np.uint8]) -> ShellView:
    """Return what :func:`packed` was given, rounded."""
    f = np.float32
    depths = np.ascontiguousarray(data[..., 10:]).view(np.float16).astype(f)
    return ShellView(
        data[..., :3] / f(255), data[..., 3] / f(255), depths[..., 0], depths[..., 1], data[..., 4:7] / f(255),
        np.ascontiguousarray(data[..., 7:10]).view(np.int8) / f(127),
    )  # fmt: skip


def bent(rng: np.random.Generator, sides: Float, bend: float) -> Callable[[Float], Float]:
    """Draw how a model is made another of its kind: stretched along its axes, and more in some places than in others.

    What stands upright goes on standing, and what is flat stays flat, since each axis has a stretching of its own:
    longer legs, a thicker seat. Then it grows narrower or wider upwards.

    Parameters
    ----------
    rng : Generator
        Draws.
    sides : (3,) float64
        Of the model, whose middle is the origin.
    bend : float
        Standard deviation of the logarithm by which places of one axis are stretched apart, and a third of which its
        top is made wider; 0: it is stretched evenly.

    Returns
    -------
    callable
        (N, 3) -> (N, 3)

    Examples
    --------
    >>> move = bent(np.random.default_rng(3), np.array([1.0, 0.5, 0.5]), 0.3)
    >>> bool((np.diff(move(np.array([[-0.5, 0, 0], [0.1, 0, 0], [0.5, 0, 0]]))[:, 0]) > 0).all())
    True
    """
    factors = np.exp(rng.normal(0, STRETCH, 3))
    if not bend:
        return lambda points: points * factors
    ends = np.linspace(-0.5, 0.5, _KNOTS)
    waves = np.stack([np.cos(np.pi * k * (ends + 0.5)) for k in (1, 2, 3)])
    knots = []
    for factor in factors:
        apart = np.exp(bend * rng.normal(0, 1, 3) @ waves)
        places = np.cumsum(apart) - apart / 2
        knots.append(factor * ((places - places[0]) / (places[-1] - places[0]) - 0.5))
    narrower = rng.normal(0, bend / 3)

    def move(points: Float) -> Float:
        # a little beyond its ends too, where slopes are measured
        wide = [
            s * np.interp(p / s, 1.1 * ends, 1.1 * k)
            for p, s, k in zip(points.T, np.maximum(sides, 1e-3), knots, strict=True)
        ]
        out = np.stack(wide, axis=1)
        out[:, [0, 2]] *= np.exp(narrower * out[:, 1:2])
        return out

    return move


def pack_shells(folder: Path, out: Path, views: int = 24, seed: int = 0, bend: float = 0.0) -> int:
    """Render a pack of all collections in a folder; those of the one that is held out are left out.

    Parameters
    ----------
    folder : Path
        With ``.sh3f`` files.
    out : Path
        Folder to write.
    views : int
        Of each model; of those that are held out a quarter.
    seed : int
        Of sides, lights and shapes.
    bend : float
        How much the shapes of models that are trained on are changed; see :func:`bent`.

    Returns
    -------
    int
        Views.

    Raises
    ------
    InputError
        If there is no collection.
    OutputError
        If the pack cannot be written.
    """
    files = sorted(folder.glob("*.sh3f"))
    if not files:
        raise InputError(f"{folder} holds no .sh3f file; unpack Debian's package sweethome3d-furniture there")
    things = [t for f in files for t in things_in(f) if t.collection != HELD_OUT_COLLECTION]
    rows: list[dict[str, Any]] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "views.u8").open("wb") as sink:
            for number, thing in enumerate(things):
                for row, data in _views(folder, thing, views, seed, bend):
                    rows.append(row)
                    sink.write(data.tobytes())
                if number % 20 == 0:
                    log.info("%d of %d models, %d views", number, len(things), len(rows))
        (out / "index.json").write_text(json.dumps(rows, indent=0) + "\n")
    except OSError as e:
        raise OutputError(f"{out}: no pack can be written there: {e.strerror or e}") from e
    return len(rows)


def _views(
    folder: Path, thing: Thing, count: int, seed: int, bend: float
) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8]]]:
    try:
        model = Model.read(folder, thing)
    except InputError as e:
        log.warning("%s", e)
        return
    if model.sides.min() < THINNEST * model.sides.max():
        return
    for number in range(max(1, count // 4) if held_out(thing) else count):
        name = int.from_bytes(hashlib.sha256(thing.name.encode()).digest()[:4], "big")
        rng = np.random.default_rng([seed, name, number])
        shape = model
        if not held_out(thing) and number % 4:  # a longer sofa, a slimmer jug: three of four views
            shape = model.moved(bent(rng, model.sides, bend))
        azimuth, elevation = float(rng.uniform(0, 360)), float(np.clip(rng.normal(18, 16), -12, 60))
        fill = FILL * float(rng.uniform(0.9, 1.04))
        camera = framed(shape, azimuth, elevation, float(rng.uniform(12, 50)), fill)
        view = view_of(shape, camera, Light.drawn(rng), fill=fill)
        if (view.alpha > 0.5).sum() < 200:
            continue
        row = {**asdict(thing), "elevation": round(elevation, 3), "held_out": held_out(thing)}
        yield row, packed(view)


class ShellPack:
    """A pack that was rendered, memory-mapped.

    Attributes
    ----------
    rows : list of dict
        Of each view: the model, its author and licence, the camera's elevation, whether it is held out.
    training, checks : (N,) int64
        Numbers of the views that are trained on, and that are not.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.rows: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())
            shape = (len(self.rows), SIDE, SIDE, DEPTH)
            self.data = np.memmap(folder / "views.u8", np.uint8, "r", shape=shape)
            kept = np.array([row["held_out"] for row in self.rows])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise InputError(f"{folder} holds no pack of models seen from many sides: {e}") from e
        self.training, self.checks = np.flatnonzero(~kept), np.flatnonzero(kept)

    def things(self) -> tuple[Thing, ...]:
        """Return the models that are trained on."""
        names = ("collection", "path", "title", "author", "licence")
        found = {tuple(self.rows[i][n] for n in names) for i in self.training}
        return tuple(Thing(*row) for row in sorted(found))
