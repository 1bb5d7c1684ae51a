"""Damage that covers areas: weathering, missing parts, dirt, vandalism, stains.

Signatures are those of :mod:`tratto_lab.simulate.damage_lines`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto_lab.simulate.damage_field import (
    Plane,
    Stroke,
    blurred,
    fractal,
    fractal_line,
    ink,
    ragged,
    shifted,
    step_to,
    wander,
)
from tratto_lab.simulate.damage_lines import Made, over, paper
from tratto_lab.simulate.degrade import Picture


def _grid(shape: tuple[int, int]) -> tuple[Plane, Plane]:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return rows, columns


def _blob(shape: tuple[int, int], radius: float, rng: np.random.Generator, rough: float) -> tuple[Plane, Plane]:
    """Return the distance field of an irregular patch (1 on its outline, 0 in the middle) and its coarse noise."""
    rows, columns = _grid(shape)
    cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
    stretch, turn = rng.uniform(0.55, 1.0), rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u, v = c * (columns - cx) + s * (rows - cy), (-s * (columns - cx) + c * (rows - cy)) / np.float32(stretch)
    noise = fractal(shape, radius * 1.1, rng, 6, 0.55)
    return np.asarray(np.hypot(u, v) / np.float32(radius) + np.float32(rough) * noise, np.float32), noise


def _ground(shape: tuple[int, int], color: NDArray[np.float64], unit: float, rng: np.random.Generator) -> Picture:
    """Return a rough mineral surface of about one colour."""
    relief = 0.09 * fractal(shape, 40 * unit, rng, 3) + 0.10 * fractal(shape, 5 * unit, rng, 3, 0.8)
    relief += np.float32(0.035) * rng.standard_normal(shape, dtype=np.float32)
    tone = np.asarray(color, np.float32) * (1 + relief[..., None])
    warmer = 0.03 * fractal(shape, 60 * unit, rng, 2)
    tone[..., 0] += warmer
    tone[..., 2] -= warmer
    return np.clip(tone, 0, 1).astype(np.float32)


def _bricks(shape: tuple[int, int], unit: float, rng: np.random.Generator) -> Picture:
    """Return bricks with mortar, uneven in colour, height and course."""
    h, w = shape
    height, width = unit * rng.uniform(9, 16), unit * rng.uniform(24, 40)
    base = np.array([rng.uniform(0.45, 0.62), rng.uniform(0.28, 0.4), rng.uniform(0.2, 0.32)])
    mortar = _ground(shape, np.full(3, rng.uniform(0.5, 0.7)), unit, rng)
    rows, columns = _grid(shape)
    rows = rows + unit * 0.8 * fractal(shape, 30 * unit, rng, 2)
    columns = columns + unit * 0.8 * fractal(shape, 30 * unit, rng, 2)
    course = np.floor(rows / height).astype(int)
    along = columns + np.where(course % 2, width / 2, 0)
    number = np.floor(along / width).astype(int)
    tint = rng.normal(1, 0.12, (int(h / height) + 8, int(w / width) + 8))
    each = tint[course % tint.shape[0], number % tint.shape[1]].astype(np.float32)
    brick = np.clip(_ground(shape, base, unit, rng) * each[..., None], 0, 1)
    fy, fx = rows / height - course, along / width - number
    joint = np.minimum(np.minimum(fy, 1 - fy) * height, np.minimum(fx, 1 - fx) * width)
    solid = step_to(joint.astype(np.float32), 0.6 * unit, 1.5 * unit)
    return over(mortar, brick, solid)


#: Common crusts and leaves: yellow, grey-green, pale grey, orange, dark.
_LICHEN = np.array([[0.72, 0.62, 0.22], [0.62, 0.68, 0.5], [0.75, 0.76, 0.7], [0.78, 0.5, 0.2], [0.3, 0.32, 0.22]])


def weathering(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Weathering: ``erosion`` of a surface, ``lichen`` on it, or ``peeling`` of its coat."""
    shape = picture.shape[:2]
    field = fractal(shape, unit * rng.uniform(45, 130), rng, 6, 0.6)
    level = float(np.quantile(field, 1 - (0.05 + 0.35 * severity) * rng.uniform(0.7, 1.2)))
    facts: dict[str, float | str] = {"share": round(float((field > level).mean()), 4)}
    if variant == "erosion":
        inside = step_to(field, level - 0.05, level + 0.35)
        worn = blurred(picture, unit * (1.0 + 2.5 * severity))
        gray = worn.mean(axis=2, keepdims=True)
        worn = worn * 0.45 + gray * 0.35 + np.float32(rng.uniform(0.35, 0.6)) * np.float32(0.2)
        grain = 0.10 * fractal(shape, 3.5 * unit, rng, 3, 0.9) + 0.07 * fractal(shape, 14 * unit, rng, 3)
        pits = step_to(fractal(shape, 5 * unit, rng, 3, 0.7), 1.5, 1.9)
        lit = np.clip(shifted(pits, 0.8 * unit, 0.8 * unit) - pits, 0, 1)
        worn = worn * (1 + grain[..., None]) * (1 - 0.55 * pits[..., None]) + 0.12 * lit[..., None]
        alpha = np.asarray(inside * np.float32(0.45 + 0.5 * severity), np.float32)
        return over(picture, np.clip(worn, 0, 1).astype(np.float32), alpha), alpha, facts
    if variant == "lichen":
        colors = _LICHEN
        out, cover = picture, np.zeros(shape, np.float32)
        for _ in range(1 + int(rng.poisson(1 + 5 * severity))):
            radius = unit * rng.uniform(6, 16 + 34 * severity)
            distance, _ = _blob(shape, radius, rng, 0.22)
            crumbs = fractal(shape, 4 * unit, rng, 3, 0.9)
            alpha = step_to(1 - distance + 0.10 * crumbs, 0.0, 0.12)
            # the middle of an old thallus dies off
            alpha = alpha * np.clip(0.65 + 0.5 * distance + 0.25 * crumbs, 0.1, 1) * np.float32(rng.uniform(0.7, 0.97))
            color = colors[int(rng.integers(len(colors)))] * rng.uniform(0.8, 1.15)
            light = 0.55 + 0.6 * blurred(picture, 2 * unit).mean(axis=2, keepdims=True)
            skin = np.clip(_ground(shape, color, 0.6 * unit, rng) * light, 0, 1).astype(np.float32)
            alpha = alpha.astype(np.float32)
            out, cover = over(out, skin, alpha), np.maximum(cover, alpha)
        return out, cover, facts
    sharp = fractal(shape, 9 * unit, rng, 4, 0.7)
    coarse = blurred(field, 1.5 * unit)
    gone = step_to(coarse + 0.07 * sharp, level + 0.1, level + 0.1 + 0.06 / max(unit, 0.5))
    under = _ground(shape, np.array([0.62, 0.58, 0.52]) * rng.uniform(0.7, 1.25), unit, rng)
    light = 0.6 + 0.5 * blurred(picture, 12 * unit).mean(axis=2, keepdims=True)
    shadow = np.clip(shifted(1 - gone, 1.3 * unit, 1.5 * unit) - (1 - gone), 0, 1) * np.float32(0.45)
    lip = np.clip(shifted(gone, 0.9 * unit, 1.0 * unit) - gone, 0, 1) * np.float32(0.3)
    out = picture + lip[..., None] * (1 - picture) * 0.7
    out = over(out, np.clip(under * light, 0, 1).astype(np.float32) * (1 - shadow[..., None]), gone)
    return out, np.maximum(gone, lip), facts


def missing(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Missing parts: a torn-off ``corner`` or ``edge``, a ``hole``, or ``plaster`` fallen off a wall."""
    h, w = shape = picture.shape[:2]
    rows, columns = _grid(shape)
    facts: dict[str, float | str] = {}
    if variant in ("corner", "edge"):
        n = int(np.hypot(h, w)) + 8
        tear = unit * (2.0 * fractal_line(n, 60 * unit, rng) + 0.9 * fractal_line(n, 9 * unit, rng, 4))
        if variant == "corner":
            y0, x0 = int(rng.integers(2)) * (h - 1), int(rng.integers(2)) * (w - 1)
            slope = rng.uniform(0.3, 1.27)
            depth = min(h, w) * (0.06 + 0.42 * severity) * rng.uniform(0.6, 1.2)
            along = np.abs(columns - x0) * np.sin(slope) - np.abs(rows - y0) * np.cos(slope)
            into = np.abs(columns - x0) * np.cos(slope) + np.abs(rows - y0) * np.sin(slope)
        else:
            side = int(rng.integers(4))
            into = [rows, h - 1 - rows, columns, w - 1 - columns][side]
            along = columns if side < 2 else rows
            depth = (h if side < 2 else w) * (0.03 + 0.2 * severity) * rng.uniform(0.6, 1.2)
            tear = tear * 2.5 + depth * 0.5 * fractal_line(n, n / 2, rng, 3)
        index = np.clip(along - along.min(), 0, n - 2)
        k = index.astype(int)
        position = depth + tear[k] + (tear[k + 1] - tear[k]) * (index - k)
        distance = (into - position).astype(np.float32)  # negative where the paper is gone
        facts["depth"] = round(float(depth), 2)
    else:
        radius = min(h, w) * (0.06 + 0.22 * severity) * rng.uniform(0.7, 1.2)
        inner, _ = _blob(shape, radius, rng, 0.13 if variant == "hole" else 0.2)
        slope_of = np.float32(radius)
        distance = (inner - 1) * slope_of
        facts["radius"] = round(float(radius), 2)
    if variant == "plaster":
        gone = step_to(-distance, -0.5 * unit, 0.5 * unit)
        rough = np.array([0.5, 0.45, 0.38])
        under = _bricks(shape, unit, rng) if rng.uniform() < 0.6 else _ground(shape, rough, unit, rng)
        light = 0.45 + 0.75 * blurred(picture, 15 * unit).mean(axis=2, keepdims=True)
        shadow = step_to(-distance, 9 * unit, 0.0) * gone * np.float32(0.25)
        cast = np.clip(blurred(shifted(1 - gone, 2.2 * unit, 2.6 * unit), 0.8 * unit), 0, 1) * gone * np.float32(0.5)
        under = np.clip(under * light, 0, 1) * (1 - np.maximum(shadow, cast)[..., None])
        lip = np.clip(shifted(gone, 1.0 * unit, 1.2 * unit) - gone, 0, 1) * np.float32(0.45)
        out = picture + lip[..., None] * (1 - picture)
        return over(out, under.astype(np.float32), gone), np.maximum(gone, lip), facts
    rim = unit * rng.uniform(0.8, 3.5) * np.exp(0.5 * fractal(shape, 22 * unit, rng, 3))
    torn = step_to(-distance + rim, -0.5, 0.5)  # the layer is gone here, paper fibres show
    gone = step_to(-distance, -0.5, 0.5)  # the paper, too
    behind = np.full((*shape, 3), rng.choice([0.03, 0.05, 0.93, 0.97, 0.55]), np.float32)
    behind += np.float32(0.006) * rng.standard_normal((*shape, 1), dtype=np.float32)
    lift = blurred(shifted(1 - gone, 2 * unit, 2 * unit), 1.5 * unit) * gone * np.float32(rng.uniform(0, 0.35))
    out = over(picture, paper(shape, rng), torn)
    out = over(out, np.clip(behind * (1 - lift[..., None]), 0, 1).astype(np.float32), gone)
    return out, torn, facts


def dirt(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Dirt: ``dust`` (specks, hairs, lint) on a print or negative, or ``grime`` (soot in streaks and clouds)."""
    h, w = shape = picture.shape[:2]
    if variant == "dust":
        polygons, strokes = [], []
        many = h * w / (unit * 60) ** 2
        for _ in range(1 + int(rng.poisson(many * (0.8 + 9 * severity)))):
            radius = unit * min(6.0, 0.45 * float(rng.pareto(1.9) + 0.8))
            polygons.append(ragged((rng.uniform(0, w), rng.uniform(0, h)), radius, rng, 0.45))
        for _ in range(int(rng.poisson(many * (0.08 + 0.7 * severity)))):
            start = (rng.uniform(0, w), rng.uniform(0, h))
            curl = wander(start, rng.uniform(-np.pi, np.pi), unit * rng.uniform(8, 70), rng, rng.uniform(0.5, 1.6), 2.0)
            strokes.append(Stroke(curl, np.full(len(curl), unit * rng.uniform(0.4, 0.9))))
        shape_of = blurred(ink(shape, strokes, polygons), 0.35 * unit)
        alpha = np.asarray(shape_of * np.float32(rng.uniform(0.6, 1.0)), np.float32)
        tone = rng.uniform(0.85, 0.98) if rng.uniform() < 0.5 else rng.uniform(0.03, 0.25)
        color = np.array([tone, tone * rng.uniform(0.95, 1.0), tone * rng.uniform(0.86, 1.0)], np.float32)
        facts: dict[str, float | str] = {"specks": float(len(polygons)), "hairs": float(len(strokes))}
        return over(picture, color, alpha), alpha, facts
    cloud = fractal(shape, unit * rng.uniform(60, 160), rng, 6, 0.45)
    level = float(np.quantile(cloud, 1 - (0.08 + 0.3 * severity)))
    density = 0.8 * step_to(cloud, level - 0.5, level + 1.6)
    if rng.uniform() < 0.6:  # water carries soot down from ledges
        rows, _ = _grid(shape)
        n = w + 2
        start = h * rng.uniform(-0.1, 0.5) + unit * 6 * fractal_line(n, 60 * unit, rng)
        length = unit * rng.uniform(30, 130) * np.exp(0.8 * fractal_line(n, 40 * unit, rng))
        strength = np.clip(0.25 + 0.7 * fractal_line(n, 30 * unit, rng, 4), 0, 1.4)
        below = rows - start[:w].astype(np.float32)
        run = np.where(below > 0, np.exp(-np.maximum(below, 0) / np.maximum(length[:w], 1.0).astype(np.float32)), 0)
        run = run * strength[:w].astype(np.float32) * step_to(below, 0.0, 25 * unit)
        # no run-off is quite straight, and its edges are soft
        run = _swayed(blurred(run.astype(np.float32), 1.2 * unit), 3 * unit, unit, rng)
        density = np.maximum(density, run)
    speckle = np.clip(1 + 0.2 * fractal(shape, 6 * unit, rng, 4, 0.8), 0.3, 1.7)
    density = density * speckle * np.float32(0.35 + 1.0 * severity)
    density = np.where(density < 0.02, 0, density).astype(np.float32)
    # soot absorbs all colours, blue a little more
    absorb = np.array([0.92, 1.0, 1.1], np.float32)
    out = picture * np.exp(-density[..., None] * absorb)
    facts = {"density": round(float(density.max()), 3)}
    return out.astype(np.float32), np.asarray(1 - np.exp(-density), np.float32), facts


def _swayed(plane: Plane, amount: float, unit: float, rng: np.random.Generator) -> Plane:
    """Return a plane whose columns wander sideways."""
    import cv2

    rows, columns = _grid(plane.shape)  # type: ignore[arg-type]
    moved = columns + np.float32(amount) * fractal(plane.shape, 70 * unit, rng, 4)  # type: ignore[arg-type]
    return np.asarray(cv2.remap(plane, moved, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)


def _writing(shape: tuple[int, int], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a line that looks written: loops of changing height along a base line."""
    h, w = shape
    letters = int(rng.integers(3, 9))
    n = letters * 26
    t = np.linspace(0, 2 * np.pi * letters, n)
    tall = np.repeat(rng.choice([0.55, 0.7, 1.0, 1.5], letters), 26)
    tall = np.convolve(np.pad(tall, 6, mode="edge"), np.ones(13) / 13, "valid")
    loop = np.repeat(rng.uniform(0.25, 1.1, letters), 26)
    x = size * (0.13 * t - 0.35 * loop * np.sin(t + 0.4 * fractal_line(n, 40, rng)))
    y = size * (-0.5 * tall * np.cos(t) + 0.12 * fractal_line(n, 30, rng))
    turn = rng.normal(0, 0.18)
    c, s = np.cos(turn), np.sin(turn)
    points = np.stack([c * x - s * y, s * x + c * y], axis=1)
    middle = np.array([rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h])
    return np.asarray(points - points.mean(axis=0) + middle)


#: Paints that are sold: black, red, blue, white, green, yellow, magenta, light blue.
_CANS = np.array(
    [
        [0.05, 0.05, 0.06],
        [0.75, 0.05, 0.08],
        [0.05, 0.15, 0.6],
        [0.95, 0.95, 0.93],
        [0.05, 0.5, 0.2],
        [0.9, 0.75, 0.05],
        [0.75, 0.2, 0.6],
        [0.1, 0.6, 0.75],
    ]
)


def vandalism(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Vandalism: ``spray`` paint with soft edges, overspray and drips, or a ``marker`` or pen."""
    shape = picture.shape[:2]
    color = np.clip(_CANS[int(rng.integers(len(_CANS)))] + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
    tags = 1 + int(rng.poisson(0.2 + 1.8 * severity))
    spray = variant == "spray"
    strokes: list[Stroke] = []
    drips: list[Stroke] = []
    for _ in range(tags):
        size = unit * (rng.uniform(18, 40) * (0.6 + severity) if spray else rng.uniform(7, 18) * (0.7 + 0.6 * severity))
        line = _writing(shape, size, rng)
        thick = size * rng.uniform(0.12, 0.22) if spray else unit * rng.uniform(0.6, 2.2)
        wavy = (0.15, 60) if spray else (0.2, 25)
        pressure = np.exp(wavy[0] * fractal_line(len(line), wavy[1], rng))
        strokes.append(Stroke(line, thick * pressure))
        if spray:
            for _ in range(int(rng.poisson(3 * severity))):
                k = int(rng.integers(len(line)))
                down = wander((line[k, 0], line[k, 1]), np.pi / 2, size * rng.uniform(0.4, 1.6), rng, 0.03, 3 * unit)
                drips.append(Stroke(down, np.full(len(down), max(0.8, 0.22 * thick)) * np.linspace(1, 0.8, len(down))))
    core = ink(shape, strokes)
    facts: dict[str, float | str] = {"tags": float(tags), "width": round(float(strokes[0].width.mean()), 2)}
    if not spray:
        alpha = np.asarray(blurred(core, 0.3 * unit) * np.float32(rng.uniform(0.7, 0.97)), np.float32)
        alpha = np.asarray(alpha * np.clip(1 + 0.12 * fractal(shape, 6 * unit, rng, 3), 0.5, 1), np.float32)
        # ink is transparent: what is dark below stays dark
        return over(picture, np.minimum(color, picture * 0.55 + color * 0.45), alpha), alpha, facts
    thick = float(strokes[0].width.mean())
    halo = blurred(core, 0.35 * thick)
    dots = (rng.uniform(size=shape) < 0.75 * np.clip(halo, 0, 1) ** 1.6).astype(np.float32)
    dots = blurred(dots, 0.45 * max(unit, 0.8)) * step_to(halo, 0.02, 0.5)
    solid = step_to(blurred(core, 0.13 * thick), 0.25, 0.8)
    alpha = np.maximum(np.maximum(solid * np.float32(0.97), 0.75 * dots), 0.95 * ink(shape, drips))
    # the coat follows the wall's light and lets its texture through a little
    relief = np.clip(1 + 0.6 * (picture.mean(axis=2) - blurred(picture, 4 * unit).mean(axis=2)), 0.5, 1.5)
    coat = np.clip(color * relief[..., None] * np.float32(0.95), 0, 1).astype(np.float32)
    alpha = np.asarray(np.where(alpha < 0.03, 0, alpha), np.float32)
    return over(picture, coat, alpha), alpha, facts


def stain(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Stains: ``water`` with tide lines, ``liquid`` such as coffee with a dark rim, ``foxing``: brown spots of age."""
    h, w = shape = picture.shape[:2]
    brown = np.array([rng.uniform(0.12, 0.35), rng.uniform(0.4, 0.6), 1.0], np.float32)
    density = np.zeros(shape, np.float32)
    facts: dict[str, float | str] = {}
    fade = np.zeros(shape, np.float32)
    if variant == "foxing":
        many = 1 + int(rng.poisson(h * w / (unit * 45) ** 2 * (0.6 + 5 * severity)))
        field = fractal(shape, unit * 120, rng, 3)  # spots come in clusters
        rows, columns = _grid(shape)
        for _ in range(min(many, 400)):
            y, x = rng.uniform(0, h), rng.uniform(0, w)
            if rng.uniform() > 0.35 + 0.4 * float(field[int(y), int(x)]):
                continue
            radius = unit * min(14.0, 1.6 * float(rng.pareto(1.8) + 0.8))
            y0, y1 = int(max(0, y - 4 * radius)), int(min(h, y + 4 * radius + 1))
            x0, x1 = int(max(0, x - 4 * radius)), int(min(w, x + 4 * radius + 1))
            near = np.hypot(rows[y0:y1, x0:x1] - y, columns[y0:y1, x0:x1] - x) / np.float32(radius)
            amount = np.float32(rng.uniform(0.25, 0.8) * (0.5 + 0.8 * severity))
            density[y0:y1, x0:x1] += amount * (0.6 * np.exp(-(near**2)) + 0.4 * np.exp(-(near**4)))
        density = density * np.clip(1 + 0.25 * fractal(shape, 5 * unit, rng, 3), 0.3, 1.7)
        facts["spots"] = float(many)
    else:
        water = variant == "water"
        for _ in range(1 + int(rng.poisson(1.6 * severity))):
            radius = min(h, w) * (0.10 + 0.4 * severity) * rng.uniform(0.5, 1.3)
            distance, noise = _blob(shape, radius, rng, 0.16)
            inside = step_to(distance, 1.0, 1.0 - 2.5 * unit / radius)
            width = unit * rng.uniform(1.0, 3.0) / radius
            # the outline is sharp outside and runs out inwards: pigment is carried to the drying edge
            # (Deegan et al. 1997, "Capillary flow as the cause of ring stains")
            into = np.maximum(1 - distance, 0)
            rim = inside * np.exp(-into / np.float32(2.2 * width))
            amount = np.float32((0.2 + 0.6 * severity) * rng.uniform(0.7, 1.2))
            tides = np.zeros(shape, np.float32)
            for _ in range(int(rng.integers(0, 3))):
                at = rng.uniform(0.1, 0.6)
                line = np.exp(-np.abs(into - np.float32(at)) / np.float32(1.5 * width))
                tides += np.float32(rng.uniform(0.2, 0.6)) * line * (into > 0)
            cloud = np.clip(1 + 0.35 * noise, 0.3, 1.8) * inside
            if water:
                density += amount * (0.25 * cloud + 0.9 * rim + 0.5 * tides)
                fade = np.maximum(fade, inside * np.float32(rng.uniform(0.03, 0.2) * (0.4 + severity)))
            else:
                density += amount * (0.75 * cloud + 0.7 * rim + 0.3 * tides)
            facts["radius"] = round(float(radius), 2)
    density = np.where(density < 0.012, 0, density).astype(np.float32)
    fade = np.where(fade < 0.012, 0, fade).astype(np.float32)
    out = over(picture, np.array([0.86, 0.83, 0.76], np.float32), fade)
    out = out * np.exp(-density[..., None] * brown)
    return out.astype(np.float32), np.maximum(1 - np.exp(-density), fade), facts
