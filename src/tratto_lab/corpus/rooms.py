"""Rooms with known paint: the same room rendered with the old and with the new paint, and the exact wall mask.

Twelve rooms, each a small scene for the physically based renderer Mitsuba 3 (BSD licence, ``pip install mitsuba``),
each with four new paints: 48 pairs for which the truly repainted picture exists, with its interreflections. Everything
follows from the room's name and the numbers in this module; nothing is drawn from the clock.

Both pictures of a pair are rendered with the same random numbers, so that what noise is left is nearly the same in
both. The exposure is that of the old room and is kept for the new one. The mask is the share of each pixel that the
wall covers, through the same pixel filter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError, UnavailableError
from tratto.imaging.color import linear_to_srgb, srgb_to_linear

Float = NDArray[np.float32]

#: Size of a rendered picture, and samples per pixel of one pass.
WIDTH, HEIGHT = 288, 216
PASS_SAMPLES = 32
DEPTH = 8


@dataclass(frozen=True)
class Room:
    """One room and the paints it is to get.

    Attributes
    ----------
    name : str
        Of its files in the cache.
    old : str
        Paint on the wall, ``#rrggbb``.
    new : tuple of str
        Paints to repaint it with.
    walls : str
        ``"all"`` or ``"back"``: which walls carry the paint.
    surface : str
        ``"plain"``, ``"plaster"`` (bumps), ``"wallpaper"`` (two-coloured pattern, old paint only), ``"stained"`` (old
        paint only) or ``"glossy"``.
    light : str
        ``"soft"``, ``"sun"``, ``"grazing"``, ``"mixed"``, ``"spots"`` or ``"warm"``.
    camera : (x, y, z, look_x, look_y, look_z)
        In metres.
    things : tuple of str
        Of ``"sofa"``, ``"table"``, ``"frame"``, ``"plant"``, ``"lamp"``, ``"shelf"``.
    seed : int
        Of the renderer's samples and of what stands where.
    """

    name: str
    old: str
    new: tuple[str, ...]
    walls: str = "all"
    surface: str = "plain"
    light: str = "soft"
    camera: tuple[float, ...] = (1.2, 1.5, 2.3, -0.6, 1.2, -2.5)
    things: tuple[str, ...] = ("sofa", "frame")
    seed: int = 0


ROOMS: tuple[Room, ...] = (
    Room("cream", "#ece2c8", ("#c8d4e0", "#8fa68e", "#b5573a", "#f4f2ee"), things=("sofa", "frame", "table"), seed=1),
    Room("sun", "#e4e4e0", ("#d6a53c", "#22345c", "#e7c3c0", "#1d1d1f"), light="sun", things=("sofa", "plant"), seed=2),
    Room(
        "plaster", "#d8c8b4", ("#6f8faf", "#f2f0ea", "#7d7d7d", "#8c2f2c"), surface="plaster", light="grazing", seed=3
    ),
    Room("navy", "#25324f", ("#f2f0ea", "#c8d4e0", "#d9c79a", "#7c9a86"), things=("sofa", "frame", "plant"), seed=4),
    Room(
        "two_lights",
        "#cfcfcb",
        ("#a9c3b0", "#c98f72", "#5d6f94", "#efe6d2"),
        light="mixed",
        things=("lamp", "table", "frame"),
        seed=5,
    ),
    Room("red", "#a8322c", ("#9a9a98", "#ece8e0", "#3f5f86", "#d8b25a"), things=("sofa", "frame"), seed=6),
    Room(
        "wallpaper",
        "#d9c9a3",
        ("#c8d4e0", "#84967c", "#ece7dc", "#9c4f46"),
        surface="wallpaper",
        things=("table", "frame"),
        seed=7,
    ),
    Room(
        "stained", "#e2d9bf", ("#bcd0d8", "#f2f0ea", "#7f9b77", "#b98a6a"), surface="stained", things=("shelf",), seed=8
    ),
    Room(
        "glossy",
        "#5f8a6b",
        ("#e6e0d0", "#b04a3a", "#37474f", "#c7b3d6"),
        surface="glossy",
        light="spots",
        things=("table", "plant"),
        seed=9,
    ),
    Room("white", "#f1f0ec", ("#1d1d1f", "#3b3a3c", "#5a1f2a", "#20503c"), things=("sofa", "plant", "frame"), seed=10),
    Room(
        "accent",
        "#b9a58c",
        ("#4f7d86", "#d9d4c8", "#c46a4a", "#6d5b7b"),
        walls="back",
        light="spots",
        camera=(0.4, 1.45, 2.4, 0.0, 1.25, -2.5),
        things=("sofa", "frame", "lamp", "plant"),
        seed=11,
    ),
    Room(
        "warm",
        "#dfe3e6",
        ("#9fb7c9", "#cfe0c3", "#e9e4da", "#a06f86"),
        light="warm",
        camera=(-1.6, 1.5, 2.2, 1.4, 1.1, -1.6),
        things=("lamp", "sofa", "shelf"),
        seed=12,
    ),
)

#: Rooms that served for nothing but a last check: no constant was chosen by them.
HELD_OUT: tuple[Room, ...] = (
    Room(
        "study", "#8a9a5b", ("#e8e4da", "#4a5a78"), light="warm", things=("shelf", "table"), seed=21,
        camera=(1.4, 1.5, 2.3, -1.2, 1.2, -1.8),
    ),
    Room(
        "hall", "#d0d0d0", ("#7a2f3a", "#b8c8d8"), walls="back", things=("frame", "plant"), seed=22,
        camera=(0.0, 1.4, 0.6, 0.0, 1.3, -2.5),
    ),
    Room(
        "bedroom", "#6b4f7a", ("#efe9df", "#8fae9b"), things=("sofa", "plant"), seed=23,
        camera=(-1.0, 1.5, 2.2, 0.8, 1.2, -2.5),
    ),
    Room(
        "kitchen", "#e9e3d3", ("#2f4f4f", "#d98f6b"), walls="back", light="spots", things=("table", "frame"), seed=24,
        camera=(-0.5, 1.5, 2.4, 0.2, 1.2, -2.5),
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RoomPair:
    """One room before and after painting.

    Attributes
    ----------
    room : Room
        What was rendered.
    paint : str
        The new paint.
    before, after : (H, W, 3) uint8
        sRGB.
    mask : (H, W) uint8
        255 = only wall.
    depth : (H, W) float32 or None
        Metres from the camera; None where it was not rendered with the others.
    """

    room: Room
    paint: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    depth: Float | None = None

    @property
    def name(self) -> str:
        """Room and paint."""
        return f"{self.room.name} {self.paint}"


def _mitsuba() -> Any:
    try:
        import mitsuba
    except ImportError as e:
        raise UnavailableError("rendering rooms needs Mitsuba 3; run: pip install mitsuba") from e
    if mitsuba.variant() is None:
        # the vectorised variant needs an LLVM library that suits the processor, and one that does not ends the whole
        # process while it compiles: it is used where a library was named, the scalar one runs everywhere
        named = ("llvm_ad_rgb",) if os.environ.get("DRJIT_LIBLLVM_PATH") else ()
        for variant in (*named, "scalar_rgb"):
            try:
                mitsuba.set_variant(variant)
                break
            except ImportError:
                continue
    return mitsuba


def linear(code: str) -> list[float]:
    """Return the linear RGB of ``#rrggbb``."""
    values = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float64) / 255
    return [float(v) for v in srgb_to_linear(values)]


def _rgb(values: list[float] | tuple[float, ...]) -> dict[str, Any]:
    return {"type": "rgb", "value": list(values)}


def _diffuse(values: list[float] | tuple[float, ...]) -> dict[str, Any]:
    return {"type": "diffuse", "reflectance": _rgb(values)}


def _noise(side: int, slope: float, seed: int) -> NDArray[np.float64]:
    """Return periodic noise with amplitude ~ frequency**-slope, mean 0, standard deviation 1."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    f[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * f**-slope
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, s=(side, side))
    return out / out.std()


def _smooth_step(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _bitmap(mi: Any, values: NDArray[np.float64], repeat: float) -> dict[str, Any]:
    return {
        "type": "bitmap",
        "bitmap": mi.Bitmap(np.ascontiguousarray(values, np.float32)),
        "raw": True,
        "wrap_mode": "repeat",
        "to_uv": mi.ScalarTransform4f().scale([repeat, repeat, 1]),
    }


def _wallpaper(base: list[float], seed: int) -> NDArray[np.float64]:
    """Return a tile with a diamond and stripe pattern in a second colour."""
    n = 256
    y, x = np.mgrid[0:n, 0:n] / n
    diamond = np.abs(x - 0.5) + np.abs(y - 0.5)
    figure = _smooth_step(-np.abs(diamond - 0.3), -0.07, -0.06) + _smooth_step(-np.abs(x - 0.02), -0.03, -0.02)
    figure = np.clip(figure + _smooth_step(-np.hypot(x - 0.5, y - 0.5), -0.13, -0.12), 0, 1)[..., None]
    other = np.array(linear("#8a5a5e"))
    return np.array(base) * (1 - figure) + other * figure


def _stains(base: list[float], seed: int) -> NDArray[np.float64]:
    """Return paint with brown water stains and grey smudges."""
    brown = _smooth_step(_noise(256, 2.0, seed), 0.9, 1.9)[..., None]
    grey = _smooth_step(_noise(256, 1.8, seed + 1), 1.1, 2.2)[..., None]
    return np.array(base) * (1 - brown * (1 - np.array([0.72, 0.6, 0.42]))) * (1 - 0.3 * grey)


def _paint(mi: Any, room: Room, code: str, old: bool) -> dict[str, Any]:
    """Return the wall's BSDF."""
    base = linear(code)
    if room.surface == "glossy":
        return {
            "type": "roughplastic",
            "diffuse_reflectance": _rgb(base),
            "alpha": 0.12,
            "int_ior": 1.4,
            "nonlinear": False,
        }
    if room.surface == "wallpaper" and old:
        return {"type": "diffuse", "reflectance": _bitmap(mi, _wallpaper(base, room.seed), 9.0)}
    if room.surface == "stained" and old:
        return {"type": "diffuse", "reflectance": _bitmap(mi, _stains(base, room.seed), 1.0)}
    if room.surface == "plaster":
        return {
            "type": "bumpmap",
            "arbitrary": _bitmap(mi, _noise(512, 0.9, room.seed)[..., None], 2.0),
            "scale": 0.03,
            "bsdf": _diffuse(base),
        }
    return _diffuse(base)


@dataclass
class _Builder:
    """Collects the shapes of a scene; ``target`` shapes are the painted wall."""

    mi: Any
    shapes: dict[str, Any] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)

    def add(self, shape: dict[str, Any], bsdf: dict[str, Any] | None = None, target: bool = False) -> None:
        name = f"s{len(self.shapes):03d}"
        self.shapes[name] = {**shape, **({"bsdf": bsdf} if bsdf is not None else {})}
        if target:
            self.targets.append(name)

    def quad(self, centre: list[float], u: list[float], v: list[float], bsdf: Any, **more: Any) -> None:
        """Add a parallelogram: half sides ``u`` and ``v``; it faces ``u x v``."""
        n = np.cross(u, v)
        n = n / np.linalg.norm(n)
        m = np.eye(4)
        m[:3, 0], m[:3, 1], m[:3, 2], m[:3, 3] = u, v, n, centre
        target = bool(more.pop("target", False))
        self.add({"type": "rectangle", "to_world": self.mi.ScalarTransform4f(m), **more}, bsdf, target)

    def box(self, low: list[float], high: list[float], bsdf: dict[str, Any]) -> None:
        """Add an axis-parallel box."""
        a, b = np.array(low), np.array(high)
        m = np.eye(4)
        m[:3, :3] = np.diag((b - a) / 2)
        m[:3, 3] = (a + b) / 2
        self.add({"type": "cube", "to_world": self.mi.ScalarTransform4f(m)}, bsdf)

    def lamp(self, centre: list[float], u: list[float], v: list[float], radiance: list[float]) -> None:
        """Add a light-giving parallelogram."""
        self.quad(centre, u, v, _diffuse([0.5] * 3), emitter={"type": "area", "radiance": _rgb(radiance)})


X, Y, Z = 2.5, 2.7, 2.5  # half width, height, half depth of the room


def _shell(b: _Builder, room: Room, wall: dict[str, Any]) -> None:
    rng = np.random.default_rng(room.seed)
    other = _diffuse(linear("#cdb99a")) if room.walls == "back" else wall
    painted = room.walls != "back"
    boards = np.repeat(rng.uniform(0.75, 1.1, (1, 16)), 8, axis=1)[..., None] * np.array(linear("#9a6b45"))
    boards = np.repeat(boards, 32, axis=0) * (1 + 0.06 * _noise(128, 1.0, room.seed)[:32, :, None])
    floor = {"type": "diffuse", "reflectance": _bitmap(b.mi, np.clip(boards, 0, 0.9), 1.0)}
    b.quad([0, 0, 0], [X, 0, 0], [0, 0, -Z], floor)
    b.quad([0, Y, 0], [X, 0, 0], [0, 0, Z], _diffuse([0.82, 0.82, 0.8]))
    b.quad([0, Y / 2, -Z], [X, 0, 0], [0, Y / 2, 0], wall, target=True)
    b.quad([-X, Y / 2, 0], [0, 0, -Z], [0, Y / 2, 0], other, target=painted)
    b.quad([X, Y / 2, 0], [0, 0, Z], [0, Y / 2, 0], other, target=painted)
    if room.light != "sun":
        b.quad([0, Y / 2, Z], [-X, 0, 0], [0, Y / 2, 0], other)
    for wall_part in (
        ([-X, 0, -Z], [X, 0.09, -Z + 0.02]),
        ([-X, 0, -Z], [-X + 0.02, 0.09, Z]),
        ([X - 0.02, 0, -Z], [X, 0.09, Z]),
    ):
        b.box(*wall_part, _diffuse([0.8, 0.8, 0.78]))


def _window(b: _Builder, radiance: list[float]) -> None:
    """Add a window with bars to the left wall."""
    b.lamp([-X + 0.015, 1.5, -0.9], [0, 0, -0.55], [0, 0.6, 0], radiance)
    white = _diffuse([0.8] * 3)
    for z0, z1, y0, y1 in (
        (-1.5, -1.45, 0.85, 2.15),
        (-0.35, -0.3, 0.85, 2.15),
        (-0.92, -0.88, 0.9, 2.1),
        (-1.5, -0.3, 0.85, 0.9),
        (-1.5, -0.3, 2.1, 2.15),
    ):
        b.box([-X, y0, z0], [-X + 0.05, y1, z1], white)


def _lights(b: _Builder, room: Room) -> None:
    ceiling = [0.0, Y - 0.01, 0.2]
    if room.light == "soft":
        b.lamp(ceiling, [0.5, 0, 0], [0, 0, 0.5], [9.0, 8.8, 8.4])
        _window(b, [5.0, 5.6, 6.4])
    elif room.light == "sun":
        b.lamp(ceiling, [0.6, 0, 0], [0, 0, 0.6], [2.2, 2.4, 2.8])
        b.add({"type": "directional", "direction": [-0.3, -0.1, -1.0], "irradiance": _rgb([11.0, 10.0, 8.2])})
        frame = _diffuse([0.3] * 3)
        for x0, x1, y0, y1 in (
            (-X, X, 0, 0.9),
            (-X, X, 2.5, Y + 2),
            (-X, 0.1, 0.9, 2.5),
            (2.2, X, 0.9, 2.5),
            (1.1, 1.18, 0.9, 2.5),
        ):
            b.box([x0, y0, Z], [x1, y1, Z + 0.05], frame)
        b.box([-X, Y, -Z], [X, Y + 0.1, Z + 0.05], frame)  # no sun through the ceiling's edge
    elif room.light == "grazing":
        b.lamp([0.2, Y - 0.05, -Z + 0.25], [1.6, 0, 0], [0, 0, 0.05], [60.0, 56.0, 50.0])
        b.lamp(ceiling, [0.4, 0, 0], [0, 0, 0.4], [5.0, 5.0, 5.0])
    elif room.light == "mixed":
        _window(b, [5.0, 8.0, 13.0])
        b.lamp([1.7, 1.55, -1.9], [0.14, 0, 0], [0, 0, 0.14], [60.0, 34.0, 13.0])
        b.lamp([1.7, 1.56, -1.9], [0.14, 0, 0], [0, 0, -0.14], [60.0, 34.0, 13.0])
        b.lamp(ceiling, [0.4, 0, 0], [0, 0, 0.4], [2.0, 2.0, 2.0])
    elif room.light == "spots":
        for x in (-1.5, 0.0, 1.5):
            b.lamp([x, Y - 0.02, -Z + 0.6], [0.05, 0, 0], [0, 0, 0.05], [260.0, 240.0, 205.0])
        b.lamp(ceiling, [0.4, 0, 0], [0, 0, 0.4], [4.0, 4.0, 4.2])
    elif room.light == "warm":
        b.lamp(ceiling, [0.4, 0, 0], [0, 0, 0.4], [14.0, 9.0, 4.4])
        b.lamp([-1.5, 1.5, -1.8], [0.13, 0, 0], [0, 0, 0.13], [50.0, 30.0, 13.0])
    else:
        raise OptionError(f"no light is called {room.light!r}")


def _sofa(b: _Builder, rng: np.random.Generator) -> None:
    cloth = _diffuse(linear("#5b6b78"))
    x = float(rng.uniform(-1.2, -0.4))
    b.box([x, 0.12, -2.3], [x + 1.7, 0.45, -1.5], cloth)
    b.box([x, 0.4, -2.35], [x + 1.7, 0.85, -2.1], cloth)
    for side in (x - 0.15, x + 1.6):
        b.box([side, 0.1, -2.35], [side + 0.2, 0.65, -1.5], cloth)
    b.box([x + 0.2, 0.45, -2.05], [x + 0.6, 0.78, -1.95], _diffuse(linear("#d2803c")))


def _table(b: _Builder, rng: np.random.Generator) -> None:
    wood = _diffuse(linear("#6d4a2f"))
    b.box([0.7, 0.68, -2.2], [1.9, 0.73, -1.5], wood)
    for x in (0.75, 1.8):
        for z in (-2.15, -1.6):
            b.box([x, 0, z], [x + 0.05, 0.68, z + 0.05], wood)
    b.add({"type": "sphere", "center": [1.2, 0.86, -1.8], "radius": 0.13}, _diffuse(linear("#e8e4dc")))


def _frame(b: _Builder, rng: np.random.Generator) -> None:
    x, y = float(rng.uniform(-0.5, 0.3)), 1.65
    b.box([x - 0.4, y - 0.3, -Z], [x + 0.4, y + 0.3, -Z + 0.03], _diffuse(linear("#2b2019")))
    art = np.clip(0.35 + 0.12 * np.stack([_noise(64, 1.6, 50 + i) for i in range(3)], axis=-1), 0.02, 0.9)
    b.quad([x, y, -Z + 0.035], [0.34, 0, 0], [0, 0.24, 0], {"type": "diffuse", "reflectance": _bitmap(b.mi, art, 1.0)})


def _plant(b: _Builder, rng: np.random.Generator) -> None:
    b.box([1.5, 0, -2.2], [1.85, 0.38, -1.85], _diffuse(linear("#b06a4a")))
    for _ in range(70):
        up, turn = rng.uniform(0.25, 1.35), rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.05, 0.5) * (0.4 + up / 2)
        c = np.array([1.67 + away * np.cos(turn), 0.38 + up, -2.02 + 0.6 * away * np.sin(turn)])
        c[2] = max(c[2], -Z + 0.08)
        d = np.array([np.cos(turn), rng.uniform(-0.5, 0.9), np.sin(turn)])
        d /= np.linalg.norm(d)
        side = np.cross(d, rng.normal(size=3))
        side /= np.linalg.norm(side)
        green = np.array(linear("#4c7a3a")) * rng.uniform(0.6, 1.4)
        leaf = {"type": "twosided", "bsdf": _diffuse([float(g) for g in green])}
        m = np.eye(4)
        m[:3, 0], m[:3, 1], m[:3, 2], m[:3, 3] = 0.13 * d, 0.035 * side, np.cross(d, side), c
        b.add({"type": "disk", "to_world": b.mi.ScalarTransform4f(m)}, leaf)


def _lamp(b: _Builder, rng: np.random.Generator) -> None:
    b.add(
        {"type": "cylinder", "p0": [-1.9, 0, -2.1], "p1": [-1.9, 1.4, -2.1], "radius": 0.02},
        {"type": "twosided", "bsdf": _diffuse([0.1] * 3)},
    )
    b.add(
        {"type": "cylinder", "p0": [-1.9, 1.35, -2.1], "p1": [-1.9, 1.65, -2.1], "radius": 0.17},
        {"type": "twosided", "bsdf": _diffuse(linear("#e8dcc0"))},
    )


def _shelf(b: _Builder, rng: np.random.Generator) -> None:
    wood = _diffuse(linear("#7a5a3a"))
    for y in (1.1, 1.5):
        b.box([-0.2, y, -Z], [1.4, y + 0.03, -Z + 0.25], wood)
        x = -0.15
        while x < 1.2:
            w, h = float(rng.uniform(0.03, 0.07)), float(rng.uniform(0.16, 0.28))
            b.box(
                [x, y + 0.03, -Z + 0.02],
                [x + w, y + 0.03 + h, -Z + 0.2],
                _diffuse([float(c) for c in rng.uniform(0.05, 0.6, 3)]),
            )
            x += w + (0.01 if rng.random() < 0.8 else 0.15)


_THINGS: dict[str, Callable[[_Builder, np.random.Generator], None]] = {
    "sofa": _sofa,
    "table": _table,
    "frame": _frame,
    "plant": _plant,
    "lamp": _lamp,
    "shelf": _shelf,
}


def _scene(mi: Any, room: Room, code: str, old: bool, size: tuple[int, int], coverage: bool) -> Any:
    b = _Builder(mi)
    _shell(b, room, _paint(mi, room, code, old))
    _lights(b, room)
    rng = np.random.default_rng(room.seed)
    for thing in room.things:
        _THINGS[thing](b, rng)
    if coverage:  # the wall glows, all else is black: what arrives is the share of the pixel that is wall
        for name, shape in b.shapes.items():
            shape.pop("emitter", None)
            shape["bsdf"] = {"type": "twosided", "bsdf": _diffuse([0, 0, 0])}
            if name in b.targets:
                shape["emitter"] = {"type": "area", "radiance": _rgb([1, 1, 1])}
        b.shapes = {k: v for k, v in b.shapes.items() if v["type"] != "directional"}
    c = room.camera
    return mi.load_dict(
        {
            "type": "scene",
            "integrator": {"type": "path", "max_depth": 1 if coverage else DEPTH, "rr_depth": DEPTH + 1},
            "sensor": {
                "type": "perspective",
                "fov": 68,
                "to_world": mi.ScalarTransform4f().look_at(origin=list(c[:3]), target=list(c[3:]), up=[0, 1, 0]),
                "film": {
                    "type": "hdrfilm",
                    "width": size[0],
                    "height": size[1],
                    "rfilter": {"type": "gaussian"},
                    "pixel_format": "rgb",
                },
                "sampler": {"type": "independent"},
            },
            **b.shapes,
        },
        # loading in parallel shuffles the lights, and with them which random number meets which light
        parallel=False,
        optimize=False,
    )


def render(room: Room, code: str, old: bool, samples: int = 256, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Float:
    """Return the room in linear light, any exposure.

    Parameters
    ----------
    room : Room
        Its camera, light and things.
    code : str
        Paint, ``#rrggbb``.
    old : bool
        True: with the pattern or the stains that the old wall has.
    samples : int
        Per pixel.
    size : (int, int)
        Width and height.

    Returns
    -------
    (H, W, 3) float32
        Linear sRGB, in the renderer's own unit.

    Raises
    ------
    UnavailableError
        If Mitsuba is not installed.
    """
    mi = _mitsuba()
    scene = _scene(mi, room, code, old, size, coverage=False)
    passes = max(1, round(samples / PASS_SAMPLES))
    total = np.zeros((size[1], size[0], 3))
    for i in range(passes):
        total += np.array(mi.render(scene, spp=PASS_SAMPLES, seed=room.seed * 1000 + i))
    return (total / passes).astype(np.float32)


def render_mask(room: Room, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Float:
    """Return which share of each pixel is painted wall, (H, W) float32 in [0, 1]."""
    mi = _mitsuba()
    scene = _scene(mi, room, room.old, True, size, coverage=True)
    values = np.array(mi.render(scene, spp=64, seed=room.seed))[..., 0]
    return np.clip(values, 0, 1).astype(np.float32)


def render_depth(room: Room, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Float:
    """Return how far each pixel is from the camera, (H, W) float32, metres."""
    mi = _mitsuba()
    scene = _scene(mi, room, room.old, True, size, coverage=False)
    values = np.array(mi.render(scene, integrator=mi.load_dict({"type": "aov", "aovs": "d:depth"}), spp=16, seed=0))
    return np.ascontiguousarray(values[..., -1], np.float32)


def exposure(picture: Float) -> float:
    """Return the factor a camera would choose: it brings the 92nd percentile of what is no lamp to 0.6.

    Pixels above eight times the median luminance count as light sources.
    """
    luminance = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    lit = luminance[luminance < 8 * np.median(luminance)]
    return 0.6 / max(float(np.percentile(lit, 92)), 1e-6)


def _to_bytes(picture: Float) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(linear_to_srgb(np.clip(picture, 0, 1)), 0, 1)).astype(np.uint8)


def room_pairs(folder: Path, rooms: tuple[Room, ...] = ROOMS, samples: int = 256) -> Iterator[RoomPair]:
    """Yield all pairs, rendering those that the folder does not hold yet.

    Parameters
    ----------
    folder : Path
        Cache of linear renders (``.npz``).
    rooms : tuple of Room
        Which rooms; the twelve by default.
    samples : int
        Per pixel, for what must be rendered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for room in rooms:
        known = (folder / f"{room.name}_old.npz").exists()
        before = _cached(folder / f"{room.name}_old.npz", lambda r=room: render(r, r.old, True, samples))
        cover = _cached(folder / f"{room.name}_mask.npz", lambda r=room: render_mask(r))
        deep = folder / f"{room.name}_depth.npz"
        # a folder of renders serves without the renderer, so depth alone is no reason to start it
        depth = None if known and not deep.exists() else _cached(deep, lambda r=room: render_depth(r))
        gain = exposure(before)
        mask = np.rint(255 * cover).astype(np.uint8)
        for paint in room.new:
            after = _cached(
                folder / f"{room.name}_{paint[1:]}.npz", lambda r=room, p=paint: render(r, p, False, samples)
            )
            yield RoomPair(room, paint, _to_bytes(before * gain), _to_bytes(after * gain), mask, depth)


def _cached(path: Path, make: Callable[[], Float]) -> Float:
    if path.exists():
        with np.load(path) as stored:
            return np.asarray(stored["picture"], np.float32)
    picture = make()
    np.savez_compressed(path, picture=picture.astype(np.float16))
    return picture.astype(np.float16).astype(np.float32)
