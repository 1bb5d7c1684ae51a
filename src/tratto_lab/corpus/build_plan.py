"""What a data set for repair is built of: the plan, and what estimates depth and describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo
from tratto.core.errors import OptionError
from tratto.core.image import Depth
from tratto_lab.collect.licences import FREE, licence_of


@dataclass(frozen=True)
class BuildPlan:
    """What is built.

    Attributes
    ----------
    size : int
        Side of the square items, 64-2048 pixels.
    variants : int
        Items from each picture, each another part of it with other damage.
    per_shard : int
        Items in a shard.
    seed : int
        With a picture's hash it decides the picture's square and damage.
    limit : int
        Items altogether; 0: all.
    licences : tuple of str
        Families that are taken; families that forbid changes cannot be.
    stated : str
        Licence of pictures that have no sidecar, as stated by who builds; empty: such pictures are left out.
    depth, caption : str
        Who estimates depth and describes, or ``"none"``; see :func:`open_tools`.
    max_megapixels : float
        Pictures above this are left out.
    """

    size: int = 512
    variants: int = 1
    per_shard: int = 256
    seed: int = 0
    limit: int = 0
    licences: tuple[str, ...] = FREE
    stated: str = ""
    depth: str = "none"
    caption: str = "none"
    max_megapixels: float = 100.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("--size", self.size, 64, 2048),
            ("--variants", self.variants, 1, 1000),
            ("--per-shard", self.per_shard, 1, 100_000),
            ("--limit", self.limit, 0, 10**9),
            ("--seed", self.seed, 0, 2**63),
        ):
            if not low <= value <= high:
                raise OptionError(f"{name} takes {low} to {high}, got {value}")
        if not self.max_megapixels > 0:
            raise OptionError(f"--max-megapixels must be above 0, got {self.max_megapixels}")
        no_changes = [f for f in self.licences if f.endswith("-nd")]
        if no_changes:
            raise OptionError(f"{', '.join(no_changes)} forbids changed copies, and a damaged picture is one")
        if licence_of([self.stated]).family.endswith("-nd"):
            raise OptionError(f"{self.stated} forbids changed copies, and a damaged picture is one")


@dataclass(frozen=True)
class Tools:
    """What estimates depth and describes; both see the restored picture.

    Attributes
    ----------
    depth : callable or None
        ``depth(rgb) -> Depth`` of the same height and width; ``rgb`` is (H, W, 3) float32 in [0, 1].
    caption : callable or None
        ``caption(rgb) -> str``.
    depth_by, caption_by : mapping
        Who they are, for the record: provider, model, hash.
    """

    depth: Callable[[NDArray[np.float32]], Depth] | None = None
    caption: Callable[[NDArray[np.float32]], str] | None = None
    depth_by: Mapping[str, Any] = field(default_factory=dict)
    caption_by: Mapping[str, Any] = field(default_factory=dict)


def open_tools(plan: BuildPlan) -> Tools:
    """Open what the plan names.

    Parameters
    ----------
    plan : BuildPlan
        ``depth``: ``none``, ``geometric``, ``dpt`` or ``dpt:FOLDER``; ``caption``: ``none``, ``measured`` or
        ``joycaption:FOLDER``.

    Raises
    ------
    OptionError
        For another name.
    UnavailableError
        If what it needs is not here.
    """
    for option, name in (("--depth", plan.depth), ("--caption", plan.caption)):
        if name == "auto":
            raise OptionError(f"{option} takes a name, not auto: what that means may differ where a build goes on")
    from tratto.providers.catalogue import open_provider

    found: dict[str, Any] = {}
    if plan.depth != "none":
        name, _, folder = plan.depth.partition(":")
        estimator = open_provider("depth", name, {"model": folder} if folder else {})
        found |= {"depth": estimator.estimate, "depth_by": _by(estimator.info)}
    if plan.caption != "none":
        name, _, folder = plan.caption.partition(":")
        captioner = open_provider("captioner", name, {"model": folder} if folder else {})
        found |= {"caption": captioner.caption, "caption_by": _by(captioner.info)}
    return Tools(**found)


def _by(info: DescriberInfo) -> dict[str, Any]:
    return {
        "provider": info.provider,
        "library": info.library,
        "stand_in": info.stand_in,
        "models": [m.to_json() for m in info.models],
    }
