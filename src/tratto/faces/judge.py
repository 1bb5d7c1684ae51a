"""How good a face on another looks, in numbers from 0 to 10: whose it is, whether it looks real, whether it fits in.

Each judge may be unable to say: then its score is *missing*, the neutral :data:`tratto.core.capability.NEUTRAL` stands
for it in the sum, and whoever shows the score says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import Score
from tratto.faces.region import Bool, Float, lab_of
from tratto.faces.swap import Target, noise_of

#: Distances of two faces at which the identity's score is 10, and 0: one person in two pictures, and two people.
NEAREST, FARTHEST = 0.3, 0.8
#: By how much a face must be nearer to the character than to the scene's person to count fully.
APART = 0.15
#: Steps of CIELAB by which a face is of another skin than the scene's, and what its realism scores at most then.
PASTED, FATAL = 10.0, 3.0
JUDGES = ("identity", "realism", "consistency")


def potential(scores: Mapping[str, Score], weights: Mapping[str, float]) -> float:
    """Return the weighted sum of scores; what is missing counts as neutral.

    Examples
    --------
    >>> potential({"identity": Score(8.0), "realism": Score(None)}, {"identity": 1.5, "realism": 4.0})
    32.0
    """
    return float(sum(weights[name] * score.counted for name, score in scores.items()))


def identity_score(distance: float | None, away: float | None = None) -> Score:
    """Return the score of a distance between two faces.

    Parameters
    ----------
    distance : float or None
        To the character; None: no face was seen.
    away : float or None
        To the person whose face was in the scene: who is no nearer to the character than to that person is not well
        hit, so that the score falls from :data:`APART` on, and is none where it is as much nearer to that person.

    Examples
    --------
    >>> identity_score(0.55).value, identity_score(0.55, 0.55).value, identity_score(None).missing
    (5.0, 2.5, True)
    """
    if distance is None or not np.isfinite(distance):
        return Score(None)
    numbers = {"distance": round(distance, 4)} | ({} if away is None else {"away": round(away, 4)})
    value = 10 * float(np.clip((FARTHEST - distance) / (FARTHEST - NEAREST), 0, 1))
    if away is not None:
        value *= float(np.clip(0.5 + 0.5 * (away - distance) / APART, 0, 1))
    return Score(round(value, 4), numbers)


#: Octaves of which statistics are taken.
OCTAVES = 3


def statistics(lightness: Float, where: Bool) -> NDArray[np.float64] | None:
    """Return what natural skin is like at several sizes of detail; None if there is too little of it.

    Per octave the logarithm of the local contrast, and the mean absolute against the root mean square of the
    contrast-normalised lightness, which tells smooth (plastic) and ringing (artificial) texture from that of cameras.

    Parameters
    ----------
    lightness : (H, W) float32
        L* of CIELAB.
    where : (H, W) bool
        Skin.

    Returns
    -------
    (2 * OCTAVES,) array or None
        Contrast and ratio by turns, the finest octave first; fewer where the skin is too small, None if there is too
        little of it.

    References
    ----------
    Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", 2013: statistics of
    contrast-normalised pictures, without a model learnt from opinions. Here the scene's own skin is the model.
    """
    import cv2

    found = []
    for _ in range(OCTAVES):
        inner = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if np.count_nonzero(inner) < 40:
            break
        mean = cv2.GaussianBlur(lightness, (0, 0), 7 / 6)
        away = lightness - mean
        local = np.sqrt(cv2.GaussianBlur(away * away, (0, 0), 7 / 6))
        normal = (away / (local + np.float32(0.6)))[inner]
        contrast = float(np.log(np.median(local[inner]) + 0.15))
        shape = float(np.abs(normal).mean() / max(float(np.sqrt((normal**2).mean())), 1e-6))
        found += [contrast, 6 * shape]
        size = (max(1, lightness.shape[1] // 2), max(1, lightness.shape[0] // 2))
        lightness = np.asarray(cv2.resize(lightness, size, interpolation=cv2.INTER_AREA), np.float32)
        where = cv2.resize(where.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.array(found) if found else None


class Realism:
    """Judges without a reference: is the new skin what a camera made of the scene's own?"""

    def __init__(self, target: Target) -> None:
        self._skin = target.region.skin & (target.may > 0.5)
        lab = lab_of(target.picture)
        self._own = statistics(lab[..., 0], self._skin)
        self._chroma = _spread(lab, self._skin)
        self._clipped = _clipped(target.picture, self._skin)
        self._tone = np.median(lab[self._skin], axis=0) if self._skin.any() else np.zeros(3)

    def score(self, picture: Float, alpha: Float) -> Score:
        """Judge one picture; missing where there is too little skin."""
        where = self._skin & (alpha > 0.9)
        lab = lab_of(picture)
        new = statistics(lab[..., 0], where)
        if self._own is None or new is None:
            return Score(None, why="too little skin is seen")
        count = min(len(new), len(self._own))
        texture = float(np.abs(new[:count] - self._own[:count]).mean())
        # skin whose hue varies much more than the scene's own is blotched
        blotches = max(0.0, float(np.log(_spread(lab, where) / self._chroma)) - 0.25)
        clipped = max(0.0, _clipped(picture, where) - self._clipped)
        value = 10 * float(np.exp(-(texture + 0.8 * blotches + 6 * clipped)))
        # a face of another tone than its neck is seen at once, whatever its texture
        tone = float(np.linalg.norm(np.median(lab[where], axis=0) - self._tone))
        value = min(value, FATAL) if tone > PASTED else value
        numbers = {"texture": texture, "blotches": blotches, "clipped": clipped, "pasted": tone}
        return Score(round(value, 4), {k: round(v, 4) for k, v in numbers.items()})


def _spread(lab: Float, where: Bool) -> float:
    """Return how much hue varies under a mask, in CIELAB."""
    if not where.any():
        return 1.0
    values = lab[where][:, 1:]
    return float(np.hypot(*(np.subtract(*np.percentile(values, [84, 16], axis=0)) / 2))) + 0.5


def _clipped(picture: Float, where: Bool) -> float:
    values = picture[where]
    return float(((values.min(axis=1) >= 0.995) | (values.max(axis=1) <= 0.01)).mean()) if len(values) else 0.0


class Consistency:
    """Judges whether the new face belongs to the scene: seam, colour, light, noise, and nothing else changed."""

    def __init__(self, target: Target) -> None:
        import cv2

        self._target, self._lab = target, lab_of(target.picture)
        side = target.side
        inside = cv2.distanceTransform((target.may > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        outside = cv2.distanceTransform((target.may <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        #: The edge, as far as it can be seen, and skin just inside of it.
        self._edge = (inside < max(2.0, 0.1 * side)) & (outside < 2) & (inside > 0)
        #: The same with the edge along hair and frames.
        self._border = (inside < max(2.0, 0.1 * side)) & (inside > 0)
        self._edge &= ~cv2.dilate(target.region.kept.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        self._skin = target.region.skin & (target.may > 0.5)
        self._band = self._skin & (inside < max(3.0, 0.14 * side))
        self._steep = _steepness(self._lab)
        self._light = _slope(self._lab[..., 0], self._skin)
        self._noise = noise_of(self._lab[..., 0], self._skin)

    def seam(self, picture: Float) -> float:
        """Return the mean gradient along the edge over that of the scene's own there; 1: no seam, more: one."""
        steep = _steepness(lab_of(picture))
        own = float(self._steep[self._edge].mean()) if self._edge.any() else 1.0
        return float(steep[self._edge].mean()) / max(own, 0.3) if self._edge.any() else 1.0

    def _steps(self, lab: Float) -> float:
        """Return how much steeper than the scene's own the picture is along the whole edge, CIELAB per pixel."""
        if not self._border.any():
            return 0.0
        return float(np.clip(_steepness(lab) - self._steep, 0, None)[self._border].mean())

    def score(self, picture: Float, alpha: Float) -> Score:
        """Judge one picture; 0 if anything outside changed."""
        if np.count_nonzero(self._band) < 12:
            return Score(None, why="too little skin is seen")
        lab = lab_of(picture)
        numbers = {"outside": float(np.abs(picture - self._target.picture)[self._target.may <= 0.5].max(initial=0.0))}
        if numbers["outside"] > 0:
            return Score(0.0, numbers)
        numbers["seam"] = self.seam(picture)
        numbers["step"] = self._steps(lab)
        seen = alpha > 0.5
        band = self._band & seen if (self._band & seen).any() else self._band
        near, rest = (np.median((lab - self._lab)[w], axis=0) for w in (band, self._skin))
        numbers["color"] = float(np.linalg.norm(near))
        numbers["tone"] = float(np.linalg.norm(rest))
        numbers["light"] = float(np.linalg.norm(_slope(lab[..., 0], self._skin) - self._light))
        noise = noise_of(lab[..., 0], self._skin & (alpha > 0.9))
        numbers["noise"] = abs(float(np.log((noise + 0.1) / (self._noise + 0.1))))
        cost = (
            1.5 * max(0.0, float(np.log(max(numbers["seam"], 1e-3))))
            + numbers["color"] / 12
            + numbers["tone"] / 25
            + numbers["light"] / 25
            + 0.3 * numbers["noise"]
            + 0.4 * numbers["step"]
        )
        return Score(round(10 * float(np.exp(-cost)), 4), {k: round(v, 4) for k, v in numbers.items()})


def _steepness(lab: Float) -> Float:
    """Return the length of the gradient of colour, after a little smoothing, CIELAB per pixel."""
    import cv2

    calm = cv2.GaussianBlur(lab, (0, 0), 0.8)
    x, y = (cv2.Sobel(calm, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(np.sqrt((x * x + y * y).sum(axis=2)), np.float32)


def _slope(lightness: Float, where: Bool) -> NDArray[np.float64]:
    """Return by how much light changes across a face and down it, in L* from side to side."""
    rows, columns = np.nonzero(where)
    if len(rows) < 12:
        return np.zeros(2)
    x, y = (v - v.mean() for v in (columns.astype(float), rows.astype(float)))
    x, y = x / max(np.ptp(x), 1), y / max(np.ptp(y), 1)
    plane = np.column_stack([x, y, np.ones(len(x))])
    return np.asarray(np.linalg.lstsq(plane, lightness[where].astype(float), rcond=None)[0][:2])
