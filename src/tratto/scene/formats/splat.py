"""The .splat of the first viewers on the web: 32 bytes for each Gaussian, no header; our own frame."""

from __future__ import annotations

import numpy as np

from tratto.core.artifact import HARMONIC_0, Scene
from tratto.core.errors import InputError

_ROW = np.dtype([("at", "<f4", 3), ("size", "<f4", 3), ("rgba", "u1", 4), ("turn", "u1", 4)])


def packed(scene: Scene) -> bytes:
    """Return the bytes of a file; harmonics above degree 0 and what was seen are left out."""
    rows = np.empty(len(scene), _ROW)
    rows["at"], rows["size"] = scene.positions, np.exp(scene.scales)
    alpha = 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    rgba = np.concatenate([scene.colors, alpha[:, None]], axis=1)
    rows["rgba"] = np.clip(np.round(rgba * 255), 0, 255)
    unit = scene.rotations / np.linalg.norm(scene.rotations, axis=1, keepdims=True)
    rows["turn"] = np.clip(np.round(unit * 128 + 128), 0, 255)
    return rows.tobytes()


def read(data: bytes) -> tuple[Scene, bool]:
    """Return the scene of a file; it never says what was seen.

    Raises
    ------
    InputError, OptionError
        If it is broken, or larger than what is read.
    """
    if not data or len(data) % _ROW.itemsize:
        raise InputError(f"expected 32 bytes for each Gaussian, got {len(data)} in all")
    rows = np.frombuffer(data, _ROW)
    if not np.isfinite(rows["size"]).all() or rows["size"].min() < 0:
        raise InputError("sizes must be finite, and 0 or more")
    turn = (rows["turn"].astype(np.float64) - 128) / 128
    turn[~turn.any(axis=1)] = (1, 0, 0, 0)
    return Scene(
        rows["at"].astype(np.float32),
        turn.astype(np.float32),
        np.log(np.maximum(rows["size"], 1e-20)).astype(np.float32),
        logits(rows["rgba"][:, 3] / 255),
        ((rows["rgba"][:, None, :3] / 255 - 0.5) / HARMONIC_0).astype(np.float32),
        np.ones(len(rows), np.uint8),
    ), False


def logits(alpha: np.ndarray, least: float = 1e-4) -> np.ndarray:
    """Return the logits of opacities in [0, 1], held ``least`` away from both ends."""
    a = np.clip(alpha.astype(np.float64), least, 1 - least)
    return np.log(a / (1 - a)).astype(np.float32)
