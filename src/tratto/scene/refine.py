"""MVCRM: render the views of a scene, have them enhanced, and take over what the views agree on.

Colour is linear in what is rendered, so the rasterizer's gradient to colours *is* the back-projection of differences of
pixels onto Gaussians, whoever renders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import HARMONIC_0, Scene
from tratto.core.errors import OptionError
from tratto.scene.camera import Camera
from tratto.scene.measures import ssim
from tratto.scene.optimize import Adam, Progress, Settings, silent, update
from tratto.scene.rasterize import PARAMETERS, Rendered, backward, render
from tratto.scene.views import extent

Float = NDArray[np.float32]
#: ``enhance(picture, number of the view)``: (H, W, 3) float32 in [0, 1], to a picture of the same kind.
Enhance = Callable[[Float, int], Float]
#: What an enhancer must change for it to count: a step of 8 bits.
_LEAST = 1.0 / 255


@dataclass(frozen=True)
class Refinement:
    """How a scene is refined.

    Attributes
    ----------
    rounds : int
        Times that views are rendered, enhanced and taken over.
    color_rounds : int
        Updates of colour alone in each, before all parameters move; 4 to 8.
    damping : float
        Share of the proposed change that is taken each time.
    steps : int
        Of the optimiser in each round, 150 to 400.
    tolerance : float
        Difference from the median over the views at which a view's say is halved; full scale = 1.
    trust : float
        Local difference of an enhanced picture from its rendering at which it is trusted by 1 / e.
    depth_gate : float
        Pixels count where another view's depth agrees within this share; 0: off, which did better; 0.1 is usual.
    feature_gate : float
        Pixels count where the correlation of their surroundings before and after is at least this; 0: off, which did
        better; 0.7 is usual.
    robust, gains, agreement : bool
        Parts that can be switched off for an ablation: weights against the median, the alignment of the views' gains,
        and that opacity changes only where two views agree.

    Raises
    ------
    OptionError
        If a number is out of range.
    """

    rounds: int = 1
    color_rounds: int = 6
    damping: float = 0.7
    steps: int = 300
    tolerance: float = 0.06
    trust: float = 0.35
    depth_gate: float = 0.0
    feature_gate: float = 0.0
    robust: bool = True
    gains: bool = True
    agreement: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.rounds <= 50 and 0 <= self.color_rounds <= 50 and 0 <= self.steps <= 100_000):
            raise OptionError("rounds of a refinement must lie in [0, 50], its steps in [0, 100000]")
        if not (0 < self.damping <= 1 and self.tolerance > 0 and self.trust > 0):
            raise OptionError("damping must lie in (0, 1], tolerance and trust above 0")
        if not (0 <= self.depth_gate <= 1 and 0 <= self.feature_gate < 1):
            raise OptionError("depth_gate must lie in [0, 1], feature_gate in [0, 1)")


def refine(
    scene: Scene,
    cameras: Sequence[Camera],
    enhance: Enhance,
    settings: Settings,
    how: Refinement,
    progress: Progress = silent,
) -> Scene:
    """Refine a scene by views that an enhancer makes better, or worse: only what several agree on is taken over.

    Parameters
    ----------
    scene : Scene
        What is refined; as many Gaussians come back.
    cameras : sequence of Camera
        From where it is looked at; two at least.
    enhance : callable
        See :data:`Enhance`.
    settings : Settings
        Background, constants, rates and weights of the loss; its strategy and steps are not used.
    how : Refinement
        Rounds, steps, and how far views must agree.
    progress : callable
        ``progress(stage, done, total)``; raising stops.

    Raises
    ------
    OptionError
        If there are fewer than two cameras, or an enhancer gives a picture of another size.
    """
    if len(cameras) < 2:
        raise OptionError(f"a refinement needs at least two views that could agree, got {len(cameras)}")
    for number in range(how.rounds):
        wanted = []
        for i, camera in enumerate(cameras):
            progress("enhance", number * len(cameras) + i, how.rounds * len(cameras))
            shown = render(scene, camera, settings.background, settings.constants)
            before = np.clip(shown.color, 0, 1)
            after = np.asarray(enhance(before.astype(np.float32), i), np.float32)
            if after.shape != before.shape or not np.isfinite(after).all():
                raise OptionError(f"an enhancer must give a finite picture of {before.shape}, got {after.shape}")
            # what changes nothing must change nothing: rounding to 8 bits is no opinion
            wanted.append(np.where(np.abs(after - before) <= _LEAST, shown.color, after))
        scene = _round(scene, cameras, wanted, settings, how, progress)
    progress("enhance", how.rounds * len(cameras), how.rounds * len(cameras))
    return scene


def _round(
    scene: Scene,
    cameras: Sequence[Camera],
    wanted: list[Float],
    settings: Settings,
    how: Refinement,
    progress: Progress,
) -> Scene:
    first = [render(scene, c, settings.background, settings.constants) for c in cameras]
    if max(float(np.abs(w - f.color).max()) for w, f in zip(wanted, first, strict=True)) == 0:
        return scene
    gates = _gates(cameras, first, wanted, how)
    trusted = [g * _trust(w, f, how) for g, w, f in zip(gates, wanted, first, strict=True)]
    for _ in range(how.color_rounds):
        seen = [render(scene, c, settings.background, settings.constants) for c in cameras]
        if how.gains:
            wanted = _aligned(wanted, seen, trusted)
        scene = _recolored(scene, seen, wanted, trusted, how)
    seen = [render(scene, c, settings.background, settings.constants) for c in cameras]
    trusted = [g * _trust(w, s, how) for g, w, s in zip(gates, wanted, seen, strict=True)]
    targets = [
        (c[..., None] * w + (1 - c[..., None]) * s.color).astype(np.float32)
        for c, w, s in zip(trusted, wanted, seen, strict=True)
    ]
    return _optimized(scene, cameras, targets, [f.alpha for f in first], settings, how, progress)


def _trust(wanted: Float, shown: Rendered, how: Refinement) -> Float:
    """Return how far an enhanced picture is to be trusted, by its mean difference from the rendering around a pixel."""
    apart = cv2.blur(np.abs(wanted - shown.color).mean(axis=2).astype(np.float32), (9, 9))
    out: Float = np.exp(-((apart / np.float32(how.trust)) ** 2)).astype(np.float32)
    return out


def _aligned(wanted: list[Float], seen: list[Rendered], trusted: list[Float]) -> list[Float]:
    """Return pictures whose channels have the gains of the consensus, which is what is rendered now.

    Gains are ratios of means: least squares would shrink them wherever two pictures differ, a little each time. What
    all views say is no cast of one of them, so the median over the views stays as it is.
    """
    gains = np.ones((len(wanted), 3))
    for v, (picture, shown, c) in enumerate(zip(wanted, seen, trusted, strict=True)):
        weight = (c * shown.alpha)[..., None]
        above, below = ((weight * p).sum(axis=(0, 1), dtype=np.float64) for p in (shown.color, picture))
        gains[v] = np.where(below > 1e-3, above / np.maximum(below, 1e-3), 1).clip(0.5, 2)
    gains /= np.median(gains, axis=0)
    # the background is nobody's colour
    return [
        (picture * (1 + np.minimum(1, 2 * shown.alpha)[..., None] * (gain - 1))).astype(np.float32)
        for picture, shown, gain in zip(wanted, seen, gains, strict=True)
    ]


def _recolored(scene: Scene, seen: list[Rendered], wanted: list[Float], trusted: list[Float], how: Refinement) -> Scene:
    """Return the scene with the colours that most views propose."""
    count = len(scene)
    proposed = np.zeros((len(seen), count, 3), np.float32)
    weights = np.zeros((len(seen), count), np.float32)
    for v, (shown, picture, c) in enumerate(zip(seen, wanted, trusted, strict=True)):
        apart = (picture - shown.color) / np.maximum(shown.alpha, 0.5)[..., None]
        total = backward(shown, c[..., None] * apart).harmonics[:, 0] / np.float32(HARMONIC_0)
        share = backward(shown, np.repeat(c[..., None], 3, axis=2)).harmonics[:, 0].mean(axis=1)
        weights[v] = share / np.float32(HARMONIC_0)
        proposed[v] = total / np.maximum(weights[v], 1e-6)[:, None]
    known = weights > 0.05
    if how.robust:
        masked = np.where(known[..., None], proposed, np.nan)
        some = known.any(axis=0)
        median = np.zeros((count, 3), np.float32)
        median[some] = np.nanmedian(masked[:, some], axis=0)
        off = np.abs(proposed - median).mean(axis=2) / how.tolerance
        weights = weights / (1 + off**2)
    weights = np.where(known, np.sqrt(weights), 0)
    change = (weights[..., None] * proposed).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-6)[:, None]
    harmonics = scene.harmonics.copy()
    # a colour held at 0 has no gradient and proposes nothing; the others move by what was proposed
    harmonics[:, 0] += np.float32(how.damping / HARMONIC_0) * change.astype(np.float32)
    return replace(scene, harmonics=harmonics)


def _optimized(
    scene: Scene,
    cameras: Sequence[Camera],
    targets: list[Float],
    alphas: list[Float],
    settings: Settings,
    how: Refinement,
    progress: Progress,
) -> Scene:
    """Move all parameters towards the targets; alpha stays as it was."""
    adam = Adam({n: np.array(getattr(scene, n), np.float32) for n in PARAMETERS})
    size = extent(cameras)
    signs = np.zeros(len(scene), np.int8)

    def gradients(i: int) -> tuple[Any, Any]:
        arrays: Any = _Arrays(adam.arrays)
        seen = render(arrays, cameras[i], settings.background, settings.constants)
        apart, beyond = seen.color - targets[i], seen.alpha - alphas[i]
        slope = ssim(seen.color, targets[i])[1]
        w = settings.structure
        # within a step of 8 bits there is nothing to learn; a sign would push with full strength
        to_color = np.float32((1 - w) / apart.size) * np.clip(apart / _LEAST, -1, 1) - np.float32(w) * slope
        to_alpha = np.float32(settings.silhouette / beyond.size) * np.clip(beyond / _LEAST, -1, 1)
        return seen, backward(seen, to_color, alpha=to_alpha)

    for step in range(how.steps):
        progress("refine", step, how.steps)
        if how.agreement and step % 100 == 0:
            slopes = np.stack([gradients(i)[1].opacities for i in range(len(cameras))])
            up, down = (slopes > 0).sum(axis=0), (slopes < 0).sum(axis=0)
            signs = np.where((up >= 2) & (up > down), 1, np.where((down >= 2) & (down > up), -1, 0)).astype(np.int8)
        turn = np.random.default_rng([settings.seed, 2, step // len(cameras)]).permutation(len(cameras))
        _, back = gradients(int(turn[step % len(cameras)]))
        if how.agreement:
            back = replace(back, opacities=np.where(np.sign(back.opacities) == signs, back.opacities, 0))
        update(adam, back, replace(settings, strategy=None), settings.rates.positions * size)
    progress("refine", how.steps, how.steps)
    moved: Any = {n: np.ascontiguousarray(adam.arrays[n]) for n in PARAMETERS}
    return replace(scene, **moved)


class _Arrays:
    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        for name in PARAMETERS:
            setattr(self, name, arrays[name])


# -- gates ------------------------------------------------------------------------------------------------------------


def _gates(cameras: Sequence[Camera], seen: list[Rendered], wanted: list[Float], how: Refinement) -> list[Float]:
    gates: list[Float] = [np.ones(s.alpha.shape, np.float32) for s in seen]
    for i, gate in enumerate(gates):
        if how.feature_gate:
            gate *= correlation(seen[i].color, wanted[i]) >= how.feature_gate
        if how.depth_gate:
            gate *= _depth_agrees(i, cameras, seen, how.depth_gate)
    return gates


def correlation(a: Float, b: Float, side: int = 15) -> Float:
    """Return the correlation of the surroundings of each pixel in two pictures, in [-1, 1]; 1 where both are flat.

    Examples
    --------
    >>> picture = np.random.default_rng(0).random((20, 20, 3), dtype=np.float32)
    >>> round(float(correlation(picture, 0.5 * picture + 0.1).min()), 3)
    1.0
    """
    x, y = (p.mean(axis=2).astype(np.float64) for p in (a, b))
    mx, my, xx, yy, xy = (cv2.blur(p, (side, side)) for p in (x, y, x * x, y * y, x * y))
    top, bottom = xy - mx * my, np.sqrt(np.maximum(xx - mx**2, 0) * np.maximum(yy - my**2, 0))
    flat = bottom < 1e-5
    out: Float = np.where(flat, 1, top / np.where(flat, 1, bottom)).clip(-1, 1).astype(np.float32)
    return out


def _depth_agrees(i: int, cameras: Sequence[Camera], seen: list[Rendered], share: float) -> NDArray[np.bool_]:
    """Return where the depth of a view is found again in another one, within a share of it."""
    camera = cameras[i]
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    z = seen[i].depth / np.maximum(seen[i].alpha, 1e-3)
    rays = np.stack([(x - camera.cx) / camera.fx * z, (y - camera.cy) / camera.fy * z, z], axis=-1)
    points = (rays.reshape(-1, 3) - camera.t) @ camera.r
    found = np.zeros(len(points), bool)
    for j, other in enumerate(cameras):
        if j == i:
            continue
        at, depth = other.project(points)
        px, py = (np.floor(np.clip(at[:, k], -1, 2**30)).astype(np.int64) for k in (0, 1))
        within = (depth > 0) & (px >= 0) & (py >= 0) & (px < other.width) & (py < other.height)
        there = seen[j].depth[py[within], px[within]] / np.maximum(seen[j].alpha[py[within], px[within]], 1e-3)
        found[within] |= np.abs(there - depth[within]) <= share * depth[within]
    return found.reshape(camera.height, camera.width)
