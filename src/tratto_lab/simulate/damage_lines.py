"""Damage that runs along lines: cracks, scratches, folds.

Each function takes a picture, float32 (H, W, 3) in [0, 1], a severity in [0, 1], the size of one unit in pixels and a
generator, and returns the damaged picture, the coverage (H, W) in [0, 1] and the drawn parameters.
"""

from __future__ import annotations

import numpy as np

from tratto_lab.simulate.damage_field import (
    Plane,
    Points,
    Stroke,
    blurred,
    fractal,
    fractal_line,
    ink,
    ragged,
    shifted,
    wander,
)
from tratto_lab.simulate.degrade import Picture

Made = tuple[Picture, Plane, dict[str, float | str]]


def over(picture: Picture, color: Picture | np.ndarray, alpha: Plane) -> Picture:
    """Return ``color`` laid over a picture with a coverage."""
    return np.asarray(picture + alpha[..., None] * (color - picture), np.float32)


def paper(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Return the bare paper under an emulsion: light, a little yellow, fibrous."""
    level = rng.uniform(0.74, 0.97)
    tint = np.array([1.0, 1 - rng.uniform(0, 0.06), 1 - rng.uniform(0.02, 0.2)], np.float32)
    fibre = 1 + 0.035 * fractal(shape, 6.0, rng, 3, 0.8)
    return np.clip(level * fibre[..., None] * tint, 0, 1).astype(np.float32)


def _network(
    shape: tuple[int, int], unit: float, severity: float, width: float, bend: float, rng: np.random.Generator
) -> tuple[list[Stroke], list[Points]]:
    """Return the branching lines of cracks, and the nodes where they meet."""
    h, w = shape
    side = float(np.hypot(h, w))
    strokes: list[Stroke] = []
    nodes: list[Points] = []
    roots = 1 + int(rng.poisson(0.4 + 4.5 * severity))
    todo: list[tuple[tuple[float, float], float, float, float, int]] = []
    for _ in range(roots):
        if rng.uniform() < 0.6:  # most cracks come in from an edge, where a print is bent and a wall ends
            edge = int(rng.integers(4))
            t = rng.uniform(0.03, 0.97)
            start = [(t * w, -2.0), (w + 2.0, t * h), (t * w, h + 2.0), (-2.0, t * h)][edge]
            heading = [np.pi / 2, np.pi, -np.pi / 2, 0.0][edge] + rng.normal(0, 0.5)
        else:
            start = (rng.uniform(0, w), rng.uniform(0, h))
            heading = rng.uniform(-np.pi, np.pi)
        length = side * rng.uniform(0.15, 0.35 + 0.6 * severity)
        todo.append((start, heading, length, width * rng.uniform(0.6, 1.3), 0))
    while todo and len(strokes) < 60:
        start, heading, length, thick, depth = todo.pop()
        line = wander(start, heading, length, rng, bend, max(1.5, 2 * unit))
        count = len(line)
        # a brittle layer breaks in little corners
        line = line + rng.normal(0, 0.4 * unit, line.shape)
        along = np.linspace(0, 1, count)
        # wide and narrow stretches, thinning out to the end
        shape_of = np.exp(0.45 * fractal_line(count, 25, rng)) * np.clip(1.15 - along, 0, 1) ** 0.5
        wide = thick * shape_of
        if rng.uniform() < 0.5:  # interrupted, as fine cracks are
            wide = np.where(fractal_line(count, 30, rng) < -1.0, 0.0, wide)
        strokes.append(Stroke(line, wide))
        if depth < 3:
            for _ in range(int(rng.poisson((0.5 + 2.2 * severity) * length / (0.45 * side)))):
                k = int(rng.integers(1, count))
                turned = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.4)
                towards = float(np.arctan2(*(line[k] - line[k - 1])[::-1])) + turned
                own = length * rng.uniform(0.15, 0.6)
                todo.append(((line[k, 0], line[k, 1]), towards, own, 0.65 * thick, depth + 1))
                nodes.append(line[k])
    return strokes, nodes


def crack(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Cracks: ``emulsion`` of a print, light with flakes gone, or ``masonry``, dark with a lit edge."""
    shape = picture.shape[:2]
    emulsion = variant == "emulsion"
    width = unit * ((0.55 + 1.4 * severity) if emulsion else (0.6 + 1.9 * severity)) * rng.uniform(0.7, 1.3)
    bend = rng.uniform(0.12, 0.3) if emulsion else rng.uniform(0.3, 0.6)
    strokes, nodes = _network(shape, unit, severity, width, bend, rng)
    flakes = []
    if emulsion:
        for node in nodes:
            if rng.uniform() < 0.35 + 0.4 * severity:
                flakes.append(ragged((node[0], node[1]), width * rng.uniform(0.8, 2.6), rng, 0.5))
        for s in strokes:  # chips along the line
            for _ in range(int(rng.poisson(1.0 + 4 * severity))):
                at = s.points[int(rng.integers(len(s.points)))] + rng.normal(0, 0.5 * width, 2)
                flakes.append(ragged((at[0], at[1]), width * rng.uniform(0.4, 1.3), rng, 0.5))
    line = ink(shape, strokes, flakes)
    facts: dict[str, float | str] = {"width": round(width, 3), "lines": float(len(strokes)), "bend": round(bend, 3)}
    light = rng.uniform(-np.pi, np.pi)
    dx, dy = 0.7 * max(unit, 0.7) * np.cos(light), 0.7 * max(unit, 0.7) * np.sin(light)
    soft = blurred(line, 0.3 * unit)
    if emulsion:
        edge = np.clip(shifted(soft, dx, dy) - soft, 0, 1) * np.float32(rng.uniform(0.15, 0.55))
        out = picture * (1 - edge[..., None])
        alpha = soft * np.float32(rng.uniform(0.75, 1.0))
        # paper shows through unevenly where only part of the layer is gone
        alpha = alpha * np.clip(1 + 0.18 * fractal(shape, 9 * unit, rng, 3), 0.3, 1)
        return over(out, paper(shape, rng), alpha.astype(np.float32)), np.maximum(alpha, edge), facts
    rim = np.clip(shifted(soft, dx, dy) - soft, 0, 1) * np.float32(rng.uniform(0.1, 0.35))
    shade = np.clip(shifted(soft, -1.5 * dx, -1.5 * dy) - soft, 0, 1) * np.float32(rng.uniform(0.1, 0.3))
    out = picture * (1 - shade[..., None]) + rim[..., None] * (1 - picture) * 0.6
    depth = rng.uniform(0.03, 0.16)
    dark = blurred(picture, 3 * unit) * np.float32(depth) + np.float32(depth * 0.3)
    alpha = soft * np.float32(rng.uniform(0.8, 1.0))
    return over(out, dark, alpha), np.maximum(alpha, np.maximum(rim, shade)), facts


def scratch(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """Scratches: ``light`` (into the paper) or ``dark`` (a negative's, or dirt rubbed in), single or in bundles."""
    h, w = shape = picture.shape[:2]
    side = float(np.hypot(h, w))
    strokes: list[Stroke] = []
    bundles = 1 + int(rng.poisson(0.5 + 2.5 * severity))
    main = rng.uniform(0, np.pi)
    for _ in range(bundles):
        heading = main + rng.normal(0, 0.12) if rng.uniform() < 0.6 else rng.uniform(0, np.pi)
        count = 1 + int(rng.poisson(0.6 + 2.5 * severity)) if rng.uniform() < 0.6 else 1
        middle = np.array([rng.uniform(0, w), rng.uniform(0, h)])
        across = np.array([-np.sin(heading), np.cos(heading)])
        spread = unit * rng.uniform(2, 14)
        length = side * rng.uniform(0.05, 0.2 + 0.7 * severity)
        bow = rng.normal(0, 0.1)
        for _ in range(count):
            own = length * rng.uniform(0.4, 1.0)
            start = (
                middle
                + across * rng.normal(0, spread)
                + rng.normal(0, 0.1 * length) * np.array([np.cos(heading), np.sin(heading)])
            )
            n = max(8, int(own / (3 * unit)))
            t = np.linspace(-0.5, 0.5, n)
            angle = heading + bow * t + 0.01 * fractal_line(n, n / 3, rng, 3)
            steps = own / n * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            line = start + np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
            thick = unit * (0.35 + 0.9 * severity) * rng.uniform(0.5, 1.8)
            wide = thick * np.clip(1 + 0.35 * fractal_line(n, 20, rng), 0.2, 2) * np.clip(6 * (0.5 - np.abs(t)), 0, 1)
            if rng.uniform() < 0.5:  # the tool jumped
                wide = np.where(fractal_line(n, 25, rng) < -0.7, 0.0, wide)
            strokes.append(Stroke(line, wide))
    line = ink(shape, strokes)
    strength = np.clip(0.85 + 0.3 * fractal(shape, 40 * unit, rng, 3), 0.25, 1).astype(np.float32)
    alpha = np.asarray(line * strength * np.float32(rng.uniform(0.65, 1.0)), np.float32)
    facts: dict[str, float | str] = {"lines": float(len(strokes)), "bundles": float(bundles)}
    if variant == "light":
        out = over(picture, paper(shape, rng), alpha)
        wall = np.clip(shifted(line, 0.6 * unit, 0.6 * unit) - line, 0, 1) * np.float32(rng.uniform(0.0, 0.35))
        return np.asarray(out * (1 - wall[..., None]), np.float32), np.maximum(alpha, wall), facts
    dark = np.float32(rng.uniform(0.02, 0.15)) * np.ones(3, np.float32)
    return over(picture, dark, alpha), alpha, facts


def fold(picture: Picture, severity: float, unit: float, rng: np.random.Generator, variant: str) -> Made:
    """A crease from edge to edge: ``single``, or ``cross`` of two; emulsion broken off, paper bent."""
    h, w = shape = picture.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    upright = bool(rng.uniform() < 0.5)
    out, cover = picture.copy(), np.zeros(shape, np.float32)
    angles = [upright] if variant == "single" else [upright, not upright]
    facts: dict[str, float | str] = {"folds": float(len(angles))}
    base = paper(shape, rng)
    for vertical in angles:
        tilt = rng.normal(0, 0.06) if variant == "cross" else rng.normal(0, 0.25)
        place = rng.uniform(0.42, 0.58) if variant == "cross" else rng.uniform(0.12, 0.88)
        span = h if vertical else w
        n = max(16, int(span / (2 * unit)))
        t = np.linspace(-0.02, 1.02, n)
        line_along = t * span
        offset = (w if vertical else h) * place + tilt * (line_along - span / 2) + 0.5 * unit * fractal_line(n, 60, rng)
        points = np.stack([offset, line_along] if vertical else [line_along, offset], axis=1)
        # how much of the layer is broken off, in stretches
        broken = np.clip(0.25 + 0.9 * severity + 0.65 * fractal_line(n, 35, rng), 0, 2.2)
        wide = unit * (0.4 + 2.0 * severity) * broken * np.exp(0.4 * fractal_line(n, 6, rng))
        flakes = []
        for _ in range(int(rng.poisson(4 + 30 * severity))):
            k = int(rng.integers(n))
            at = points[k] + rng.normal(0, unit * (0.8 + 1.5 * severity), 2)
            flakes.append(ragged((at[0], at[1]), unit * rng.uniform(0.4, 1.0 + 2.2 * severity), rng, 0.5))
        spurs = []  # short cracks that leave the crease
        for _ in range(int(rng.poisson(1 + 9 * severity))):
            k = int(rng.integers(n))
            heading = (0.0 if vertical else np.pi / 2) + rng.choice([0.0, np.pi]) + rng.normal(0, 0.5)
            spur = wander((points[k, 0], points[k, 1]), heading, unit * rng.uniform(6, 30), rng, 0.35, 2 * unit)
            spurs.append(Stroke(spur, unit * 0.6 * np.linspace(1, 0.2, len(spur))))
        lost = ink(shape, [Stroke(points, wide), *spurs], flakes)
        position = np.interp(rows if vertical else columns, line_along, offset).astype(np.float32)
        distance = (columns if vertical else rows) - position
        reach = unit * rng.uniform(3, 12)
        bend = np.exp(-np.abs(distance) / reach) * np.tanh(distance / (1.2 * unit))
        amount = np.float32(rng.uniform(0.04, 0.14) * (0.4 + severity) * rng.choice([-1.0, 1.0]))
        uneven = np.clip(1 + 0.4 * fractal(shape, 50 * unit, rng, 3), 0.2, 2)
        shade = amount * bend * uneven
        shade = np.where(np.abs(shade) < 0.012, 0, shade).astype(np.float32)
        out = np.clip(out * (1 + shade[..., None]), 0, 1)
        alpha = np.asarray(blurred(lost, 0.25 * unit) * np.float32(rng.uniform(0.8, 1.0)), np.float32)
        out = over(out, base, alpha)
        cover = np.maximum(cover, np.maximum(alpha, 1.5 * np.abs(shade)))
        facts[f"width_{'v' if vertical else 'h'}"] = round(float(wide.mean()), 3)
    return out.astype(np.float32), cover, facts
