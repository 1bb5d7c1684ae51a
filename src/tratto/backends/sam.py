"""Segment Anything (Kirillov et al. 2023, "Segment Anything"), run by transformers from a folder on this machine.

The folder is in the published layout: ``config.json`` of model type ``sam`` and ``model.safetensors``. Nothing asks the
network for anything, no code from the folder is run, pickles are refused. Pictures are prepared here as the model
wants them: the longer side brought to its size, mean and standard deviation taken out, zeros to the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.devices import torch_device
from tratto.backends.transformers import load_network, missing_transformers, preparation
from tratto.core.capability import WallPrompt
from tratto.core.errors import MissingExtra, OptionError
from tratto.models.folders import ModelFolder, find_folder

Float = NDArray[np.float32]

#: Of ImageNet, which the published models were trained with; ``preprocessor_config.json`` may say otherwise.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def missing_sam() -> MissingExtra | None:
    """Return why the network cannot be run here, or None. Imports nothing heavy."""
    return missing_transformers("the wall detector sam")


def open_sam(folder: Path | str, device: str = "auto") -> SamBackend:
    """Open a model.

    Parameters
    ----------
    folder : Path or str
        See the head of this module; names are looked for as :func:`tratto.models.folders.find_folder` does.
    device : str
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    MissingExtra
        If transformers or torch is not installed.
    OptionError
        If the folder is none of this kind.
    WeightMismatch
        If the weights do not fill the network.
    """
    error = missing_sam()
    if error is not None:
        raise error
    found = find_folder(str(folder), "part")
    model = load_network(found, "SamModel", ("sam",), "sam")
    where = torch_device(device)
    how: dict[str, Any] = {"mean": MEAN, "deviation": STD}
    if (found.path / "preprocessor_config.json").is_file():
        how = preparation(found.path, MEAN, STD)
    return SamBackend(found, model.to(where), where, how["mean"], how["deviation"])


@dataclass(frozen=True, eq=False)
class SamBackend:
    """An opened model; see :func:`open_sam`."""

    folder: ModelFolder
    model: Any
    device: str
    mean: Sequence[float]
    std: Sequence[float]

    def find(self, rgb: Float, prompt: WallPrompt) -> Float:
        """Return how much of each pixel belongs to what the prompt points at.

        Of the three masks that the model offers for a single point, the one it thinks best of counts; for more points
        or a box it offers one.

        Parameters
        ----------
        rgb : (H, W, 3) float32
            Encoded sRGB in [0, 1].
        prompt : WallPrompt
            Points inside and outside of it, or a box around it, in pixels.

        Returns
        -------
        (H, W) float32 in [0, 1]
            Probability of each pixel to belong to it.

        Raises
        ------
        OptionError
            If nothing is pointed at, or something outside the picture.
        """
        import torch
        import torch.nn.functional as F  # noqa: N812 - the usual name of this module

        height, width = rgb.shape[:2]
        _check(prompt, width, height)
        side = int(self.model.config.vision_config.image_size)
        ratio = side / max(height, width)
        size = (max(1, int(height * ratio + 0.5)), max(1, int(width * ratio + 0.5)))
        with torch.inference_mode():
            planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))[None]
            small = F.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=True)
            small = (small - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]
            pixels = F.pad(small, (0, side - size[1], 0, side - size[0])).to(self.device)
            scale = np.array([size[1] / width, size[0] / height])
            given: dict[str, Any] = {}
            places = [*prompt.points, *prompt.others]
            if places:
                labels = [1] * len(prompt.points) + [0] * len(prompt.others)
                points = (np.array(places, np.float64) + 0.5) * scale
                given["input_points"] = torch.tensor(points, dtype=torch.float32, device=self.device)[None, None]
                given["input_labels"] = torch.tensor(labels, device=self.device)[None, None]
            if prompt.box is not None:
                box = np.array(prompt.box, np.float64) * np.tile(scale, 2)
                given["input_boxes"] = torch.tensor(box, dtype=torch.float32, device=self.device)[None, None]
            several = prompt.box is None and len(places) == 1
            made = self.model(pixel_values=pixels, multimask_output=several, **given)
            best = int(made.iou_scores[0, 0].argmax())
            logits = made.pred_masks[0, 0, best].float().cpu()[None, None]
            logits = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)
            logits = logits[..., : size[0], : size[1]]
            logits = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
            share: Float = torch.sigmoid(logits)[0, 0].numpy().astype(np.float32)
        return np.clip(share, 0, 1)


def _check(prompt: WallPrompt, width: int, height: int) -> None:
    if not prompt.points and prompt.box is None:
        raise OptionError("sam needs a point on the wall (--click) or a box around it (--box)")

    def inside(places: Sequence[tuple[float, float]]) -> bool:
        return all(0 <= x < width and 0 <= y < height for x, y in places)

    if not inside((*prompt.points, *prompt.others)):
        raise OptionError(f"every point must lie in the picture of {width}x{height}, got {prompt.points!r}")
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise OptionError(f"a box is x0,y0,x1,y1 within {width}x{height}, from top left, got {prompt.box!r}")
