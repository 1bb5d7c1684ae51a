"""Fit Gaussians to photographs with known cameras (Kerbl et al. 2023)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
from tratto.core.errors import OptionError
from tratto.core.files import atomic_file
from tratto.scene.measures import psnr, ssim
from tratto.scene.rasterize import OWN, PARAMETERS, USUAL, Constants, Draws, Gradients, Rendered
from tratto.scene.views import View, extent

#: ``progress(stage, done, total)``; raising stops.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Rates:
    """Learning rates of Adam, those of Kerbl et al. 2023.

    Attributes
    ----------
    positions : float
        Times the scene's extent, at the beginning; it falls exponentially to ``positions_last``.
    positions_last, rotations, scales, opacities, harmonics : float
        That of harmonics above degree 0 is a twentieth.
    """

    positions: float = 1.6e-4
    positions_last: float = 1.6e-6
    rotations: float = 1e-3
    scales: float = 5e-3
    opacities: float = 5e-2
    harmonics: float = 2.5e-3


#: For runs of some thousand steps instead of the paper's 30 000: colour has a tenth of the time to arrive.
QUICK = Rates(harmonics=1e-2)


@dataclass(frozen=True)
class Default:
    """Densify where the picture pulls at Gaussians, prune what is not seen: Kerbl et al. 2023, section 5.

    Attributes
    ----------
    slope : float
        Mean gradient to the position in the picture, in half pictures, from which a Gaussian is cloned or split.
    large : float
        Share of the extent from which it is split instead of cloned.
    least_opacity : float
        Below it, it is removed.
    too_large : float
        Share of the extent above which it is removed.
    first, last : float
        Shares of the run between which this is done.
    every : int
        Steps.
    most : int
        Gaussians that there may be.
    """

    name: ClassVar[str] = "default"
    slope: float = 2e-4
    large: float = 0.01
    least_opacity: float = 0.005
    too_large: float = 0.1
    first: float = 0.1
    last: float = 0.6
    every: int = 100
    most: int = 100_000


@dataclass(frozen=True)
class Mcmc:
    """Move what is not seen to where much is: Kheradmand et al. 2024, "3D Gaussian Splatting as ... Monte Carlo".

    Attributes
    ----------
    least_opacity : float
        At or below it a Gaussian is moved.
    growth : float
        How many more there are each time.
    noise : float
        Strength of the noise on positions, times their learning rate.
    opacity_cost, scale_cost : float
        Weights of the means of opacities and standard deviations in the loss.
    first, last : float
        Shares of the run between which Gaussians are moved and added.
    every : int
        Steps.
    most : int
        Gaussians that there may be.
    """

    name: ClassVar[str] = "mcmc"
    least_opacity: float = 0.005
    growth: float = 1.05
    noise: float = 5e5
    opacity_cost: float = 0.01
    scale_cost: float = 0.01
    first: float = 0.1
    last: float = 0.8
    every: int = 100
    most: int = 30_000


@dataclass(frozen=True)
class Settings:
    """How a reconstruction is done.

    Attributes
    ----------
    steps : int
        Of the optimiser; each takes one photograph.
    seed : int
        Of the order of the photographs, and of what is drawn anew.
    structure : float
        Weight of 1 - SSIM beside the mean absolute difference, 0.2 in the paper.
    silhouette : float
        Weight of the mean absolute difference of alpha, where photographs have one.
    degree : int
        Of spherical harmonics, 0 to 3; one more from each quarter of the run on.
    background : tuple of float
        That photographs with alpha are laid over.
    strategy : Default, Mcmc or None
        None: the Gaussians stay as many as they are.
    rates : Rates
        Learning rates of each kind of parameter.
    constants : Constants
        Thresholds of the rasterizer: near plane, dilation, least alpha.

    Raises
    ------
    OptionError
        If a number is out of range.
    """

    steps: int = 2000
    seed: int = 0
    structure: float = 0.2
    silhouette: float = 0.2
    degree: int = 0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    strategy: Default | Mcmc | None = field(default_factory=Default)
    rates: Rates = field(default_factory=Rates)
    constants: Constants = USUAL

    def __post_init__(self) -> None:
        if not 0 <= self.steps <= 1_000_000 or self.degree not in (0, 1, 2, 3):
            raise OptionError("steps must lie in [0, 1000000], the degree of harmonics must be 0, 1, 2 or 3")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {**asdict(self), "strategy": "none" if self.strategy is None else self.strategy.name}


class Adam:
    """Adam (Kingma and Ba 2015) over named arrays whose first axis counts Gaussians; they may come and go."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self.arrays = arrays
        self.first = {k: np.zeros_like(v) for k, v in arrays.items()}
        self.second = {k: np.zeros_like(v) for k, v in arrays.items()}
        self.step = 0

    def update(self, gradients: dict[str, NDArray[np.float32]], rates: dict[str, Any]) -> None:
        """Move the arrays; a rate is a number, or an array that fits."""
        self.step += 1
        one, two = 1 - 0.9**self.step, 1 - 0.999**self.step
        for name, gradient in gradients.items():
            m, v = self.first[name], self.second[name]
            m += np.float32(0.1) * (gradient - m)
            v += np.float32(0.001) * (gradient * gradient - v)
            rate = np.asarray(rates[name] / one, np.float32)
            self.arrays[name] -= rate * m / (np.sqrt(v * np.float32(1 / two)) + np.float32(1e-15))

    def take(self, index: NDArray[np.intp], fresh: NDArray[np.bool_]) -> None:
        """Make the arrays those rows of themselves; rows that are ``fresh`` have no momentum."""
        for group in (self.arrays, self.first, self.second):
            for name in group:
                group[name] = group[name][index]
        for group in (self.first, self.second):
            for name in group:
                group[name][fresh] = 0


def loss(
    view: View, seen: Rendered, settings: Settings, target: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32], NDArray[np.float32] | None]:
    """Return how far a rendering is from a photograph, laid over the background, with gradients to colour and alpha."""
    apart = seen.color - target
    value, slope = ssim(seen.color, target)
    w = settings.structure
    total = (1 - w) * float(np.abs(apart).mean()) + w * (1 - value)
    to_color = np.float32((1 - w) / apart.size) * np.sign(apart) - np.float32(w) * slope
    if view.alpha is None:
        return total, to_color, None
    beyond = seen.alpha - view.alpha
    total += settings.silhouette * float(np.abs(beyond).mean())
    return total, to_color, np.float32(settings.silhouette / beyond.size) * np.sign(beyond)


def _of(adam: Adam, seen: NDArray[np.uint8] | None = None) -> Scene:
    arrays = {n: np.ascontiguousarray(adam.arrays[n]) for n in PARAMETERS}
    marks = np.ones(len(arrays["positions"]), np.uint8) if seen is None else seen
    return Scene(**arrays, seen=marks)


class _Bare:
    """The arrays of a scene while they are optimised: not checked at every step."""

    positions: NDArray[np.float32]
    harmonics: NDArray[np.float32]

    def __init__(self, arrays: dict[str, NDArray[np.float32]], terms: int) -> None:
        for name in PARAMETERS:
            setattr(self, name, arrays[name])
        self.harmonics = np.ascontiguousarray(arrays["harmonics"][:, :terms])


def reconstruct(
    views: Sequence[View],
    start: Scene,
    settings: Settings,
    progress: Progress = silent,
    checkpoint: Path | None = None,
    draws: Draws = OWN,
) -> Scene:
    """Fit a scene to photographs.

    The same views, start and settings give equal bits on one machine, also where the run was stopped in between and
    goes on from its checkpoint.

    Parameters
    ----------
    views : sequence of View
        Of one object or place, in one world; two at least.
    start : Scene
        From :func:`tratto.scene.views.visual_hull` and others.
    settings : Settings
        Steps, rates, weights of the loss, and how Gaussians are added.
    progress : callable
        ``progress(stage, done, total)``; raising stops the run.
    checkpoint : Path or None
        File that the state is kept in every 100 steps; one that is there and belongs to the same work is gone on from.
        It is removed at the end.
    draws : Draws
        Who renders.

    Returns
    -------
    Scene
        Its Gaussians say whether a photograph shows them.

    Raises
    ------
    OptionError
        If there are fewer than two views, or all are from one place.
    """
    if len(views) < 2:
        raise OptionError(f"a reconstruction needs at least two photographs, got {len(views)}")
    size = extent([v.camera for v in views])
    terms = (settings.degree + 1) ** 2
    arrays = {n: np.array(getattr(start, n), np.float32) for n in PARAMETERS}
    sh = np.zeros((len(start), terms, 3), np.float32)
    kept = min(terms, start.harmonics.shape[1])
    sh[:, :kept] = start.harmonics[:, :kept]
    arrays["harmonics"] = sh
    adam = Adam(arrays)
    pulled = np.zeros((len(start), 2), np.float32)  # sum of gradients to the position in the picture, and how many
    first, work = 0, ""
    if checkpoint is not None:
        work = _work(views, start, settings)
        first, pulled = _resume(checkpoint, work, adam, pulled)
    targets = [view.over(settings.background) for view in views]
    for step in range(first, settings.steps):
        progress("reconstruct", step, settings.steps)
        rng = np.random.default_rng([settings.seed, step])
        turn = np.random.default_rng([settings.seed, 1, step // len(views)]).permutation(len(views))
        which = int(turn[step % len(views)])
        view = views[which]
        share = step / max(1, settings.steps)
        grown = min(terms, (int(4 * share) + 1) ** 2)
        bare: Any = _Bare(adam.arrays, grown)
        seen = draws.render(bare, view.camera, settings.background, settings.constants)
        _, to_color, to_alpha = loss(view, seen, settings, targets[which])
        back = draws.backward(seen, to_color, alpha=to_alpha)
        half = np.array([view.camera.width, view.camera.height], np.float32) / 2
        pulled[:, 0] += np.linalg.norm(back.flat * half, axis=1)
        pulled[:, 1] += seen.visible
        rate = settings.rates.positions ** (1 - share) * settings.rates.positions_last**share * size
        update(adam, back, settings, rate)
        pulled = _change(adam, pulled, settings, (step, size, rate), rng)
        if checkpoint is not None and (step + 1) % 100 == 0 and step + 1 < settings.steps:
            _keep(checkpoint, work, adam, pulled, step + 1)
    progress("reconstruct", settings.steps, settings.steps)
    if settings.strategy is not None:  # what nobody would ever see is nothing of the scene
        alive = np.flatnonzero(_sigmoid(adam.arrays["opacities"]) >= settings.strategy.least_opacity)
        if len(alive):
            adam.take(alive, np.zeros(len(alive), bool))
    made = _of(adam)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return mark_seen(made, views, settings.constants, draws)


def update(adam: Adam, back: Gradients, settings: Settings, rate: float) -> None:
    """Take one step of the optimiser; ``rate`` is that of positions."""
    rates = settings.rates
    gradients = {n: getattr(back, n) for n in PARAMETERS}
    terms = adam.arrays["harmonics"].shape[1]
    if gradients["harmonics"].shape[1] < terms:
        whole = np.zeros_like(adam.arrays["harmonics"])
        whole[:, : gradients["harmonics"].shape[1]] = gradients["harmonics"]
        gradients["harmonics"] = whole
    if isinstance(settings.strategy, Mcmc):
        count = len(gradients["opacities"])
        o = _sigmoid(adam.arrays["opacities"])
        gradients["opacities"] = gradients["opacities"] + settings.strategy.opacity_cost / count * o * (1 - o)
        spread = np.exp(adam.arrays["scales"])
        gradients["scales"] = gradients["scales"] + np.float32(settings.strategy.scale_cost / spread.size) * spread
    by_degree = np.full((1, terms, 1), rates.harmonics / 20, np.float32)
    by_degree[:, 0] = rates.harmonics
    adam.update(
        gradients,
        {
            "positions": rate,
            "rotations": rates.rotations,
            "scales": rates.scales,
            "opacities": rates.opacities,
            "harmonics": by_degree,
        },
    )


def mark_seen(
    scene: Scene, views: Sequence[View], constants: Constants = USUAL, draws: Draws = OWN, least: float = 0.02
) -> Scene:
    """Return a scene whose Gaussians say whether a photograph shows them.

    Parameters
    ----------
    scene : Scene
        Its own marks are not looked at.
    views : sequence of View
        Photographs with their cameras.
    constants : Constants
        Thresholds of the rasterizer.
    draws : Draws
        Who renders.
    least : float
        Pixels that a Gaussian must fill in one photograph, weighted by what is seen of it.
    """
    most = np.zeros(len(scene), np.float32)
    for view in views:
        seen = draws.render(scene, view.camera, (0.0, 0.0, 0.0), constants)
        one = np.zeros_like(seen.color)
        one[..., 0] = 1
        np.maximum(most, draws.backward(seen, one).harmonics[:, 0, 0] / np.float32(0.28209479), out=most)
    return replace(scene, seen=(most >= least).astype(np.uint8))


def compare_views(
    scene: Scene,
    views: Sequence[View],
    background: tuple[float, float, float],
    constants: Constants = USUAL,
    draws: Draws = OWN,
) -> tuple[float, float]:
    """Return the mean PSNR (dB) and SSIM of a scene on views."""
    measured = []
    for view in views:
        shown, target = draws.render(scene, view.camera, background, constants).color, view.over(background)
        measured.append((psnr(shown, target), ssim(np.clip(shown, 0, 1), target)[0]))
    mean = np.mean(measured, axis=0)
    return float(mean[0]), float(mean[1])


# -- more and fewer Gaussians -----------------------------------------------------------------------------------------


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def _logit(p: NDArray[Any]) -> NDArray[np.float32]:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    out: NDArray[np.float32] = np.log(p / (1 - p)).astype(np.float32)
    return out


def _turned(quats: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn vectors (N, 3) by quaternions (N, 4)."""
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    a, b, c = offsets.T
    u, v, t = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    turned = (a + w * u + y * t - z * v, b + w * v + z * u - x * t, c + w * t + x * v - y * u)
    return np.stack(turned, axis=1).astype(np.float32)


def _change(
    adam: Adam, pulled: NDArray[np.float32], settings: Settings, at: tuple[int, float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add and remove Gaussians as the strategy says; return the sums of gradients, begun anew if it did."""
    how, (step, size, rate) = settings.strategy, at
    if how is None:
        return pulled
    if isinstance(how, Mcmc):
        _shake(adam, how, rate, rng)
    share = (step + 1) / settings.steps
    if (step + 1) % how.every or not how.first <= share <= how.last:
        return pulled
    if isinstance(how, Mcmc):
        _relocate(adam, how, rng)
    else:
        _densify(adam, pulled, how, size, rng)
    return np.zeros((len(adam.arrays["positions"]), 2), np.float32)


def _densify(adam: Adam, pulled: NDArray[np.float32], how: Default, size: float, rng: np.random.Generator) -> None:
    arrays = adam.arrays
    mean = pulled[:, 0] / np.maximum(pulled[:, 1], 1)
    widest = np.exp(arrays["scales"].max(axis=1))
    dead = (_sigmoid(arrays["opacities"]) < how.least_opacity) | (widest > how.too_large * size)
    if dead.all():  # nothing would be left
        dead[:] = False
    chosen = np.flatnonzero((mean > how.slope) & ~dead)
    room = max(0, how.most - int((~dead).sum()))
    chosen = np.sort(chosen[np.argsort(-mean[chosen], kind="stable")][:room])
    split = widest[chosen] > how.large * size
    index = np.concatenate([np.flatnonzero(~dead), chosen])
    count = len(index) - len(chosen)
    fresh = np.zeros(len(index), bool)
    fresh[count:] = True
    # both halves of one that is split are new: the first takes the place of the whole
    whole = np.searchsorted(index[:count], chosen[split])
    fresh[whole] = True
    adam.take(index, fresh)
    halves = np.concatenate([whole, count + np.flatnonzero(split)])
    if len(halves):
        arrays = adam.arrays
        spread = np.exp(arrays["scales"][halves])
        offset = rng.normal(size=(len(halves), 3)).astype(np.float32) * spread
        arrays["positions"][halves] += _turned(arrays["rotations"][halves], offset)
        arrays["scales"][halves] -= np.float32(np.log(1.6))


def _relocate(adam: Adam, how: Mcmc, rng: np.random.Generator) -> None:
    """Move the dead onto the living, and add some; those that share a place share what is seen of it."""
    o = _sigmoid(adam.arrays["opacities"])
    dead = np.flatnonzero(o <= how.least_opacity)
    alive = np.flatnonzero(o > how.least_opacity)
    if not len(alive):
        return
    more = max(0, min(how.most, int(how.growth * len(o))) - len(o))
    if not len(dead) + more:
        return
    odds = o[alive].astype(np.float64)
    chosen = rng.choice(alive, len(dead) + more, p=odds / odds.sum())
    index = np.concatenate([np.arange(len(o)), np.zeros(more, np.intp)])
    places = np.concatenate([dead, len(o) + np.arange(more)])
    index[places] = chosen
    fresh = np.zeros(len(index), bool)
    fresh[places] = True
    fresh[chosen] = True
    adam.take(index, fresh)
    touched = np.concatenate([places, np.unique(chosen)])
    times = np.bincount(chosen, minlength=len(o))
    n = np.minimum(times[np.concatenate([chosen, np.unique(chosen)])] + 1, 51)  # as the authors' code has it
    before = np.clip(_sigmoid(adam.arrays["opacities"][touched]).astype(np.float64), 1e-6, 1 - 1e-6)
    after = 1 - (1 - before) ** (1 / n)
    # equation 9 of the paper: the scale that keeps the sum of what is seen
    total = np.zeros_like(after)
    for i in range(1, int(n.max()) + 1):
        for k in range(i):
            term = math.comb(i - 1, k) * (-1) ** k / np.sqrt(k + 1) * after ** (k + 1)
            total += np.where(n >= i, term, 0)
    adam.arrays["opacities"][touched] = _logit(np.maximum(after, how.least_opacity))
    smaller = np.log(np.maximum(before / np.maximum(total, 1e-9), 1e-6))
    adam.arrays["scales"][touched] += smaller[:, None].astype(np.float32)


def _shake(adam: Adam, how: Mcmc, rate: float, rng: np.random.Generator) -> None:
    """Move positions at random, in the shape of each Gaussian, and little where it is opaque."""
    arrays = adam.arrays
    o = _sigmoid(arrays["opacities"])
    gate = 1 / (1 + np.exp(np.clip(-100 * ((1 - o) - 0.995), -80, 80)))
    noise = (
        rng.standard_normal((len(o), 3), np.float32) * (gate * np.float32(how.noise * rate)).astype(np.float32)[:, None]
    )
    q = arrays["rotations"]
    back = q * np.array([1, -1, -1, -1], np.float32)
    along = _turned(back, noise) * np.exp(2 * arrays["scales"])
    arrays["positions"] += _turned(q, along)


# -- going on after a stop --------------------------------------------------------------------------------------------


def _work(views: Sequence[View], start: Scene, settings: Settings) -> str:
    """Return what tells one reconstruction from another."""
    state = hashlib.sha256(start.digest().encode())
    state.update(json.dumps(settings.to_json(), sort_keys=True).encode())
    state.update(json.dumps(asdict(settings.strategy) if settings.strategy else None).encode())
    for view in views:
        state.update(json.dumps(view.camera.to_json()).encode())
        state.update(view.color.tobytes())
        state.update(b"" if view.alpha is None else view.alpha.tobytes())
    return state.hexdigest()


def _keep(path: Path, work: str, adam: Adam, pulled: NDArray[np.float32], done: int) -> None:
    kept: dict[str, Any] = {"pulled": pulled, "done": np.array([done, adam.step]), "work": np.array(work)}
    for prefix, group in (("a", adam.arrays), ("m", adam.first), ("v", adam.second)):
        kept |= {f"{prefix}_{name}": values for name, values in group.items()}
    with atomic_file(path) as f:
        np.savez(f, **kept)


def _resume(path: Path, work: str, adam: Adam, pulled: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
    """Take up the state of a stopped run; one of another work, or cut short, is left aside."""
    if not os.path.exists(path):
        return 0, pulled
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["work"]) != work:
                return 0, pulled
            done, steps = (int(v) for v in kept["done"])
            groups = [{n: kept[f"{p}_{n}"] for n in adam.arrays} for p in "amv"]
            pulled = kept["pulled"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return 0, pulled
    adam.arrays, adam.first, adam.second = groups
    adam.step = steps
    return done, pulled
