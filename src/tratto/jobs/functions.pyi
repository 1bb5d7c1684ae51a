"""The tasks as plain functions, for type checkers; written by ``python -m tratto.cli.reference types``."""

from typing import Any, Literal

from tratto.core.result import Result
from tratto.jobs import Session
from tratto.tasks.enhance import EnhanceOptions
from tratto.tasks.recolor import RecolorOptions
from tratto.tasks.reface import RefaceOptions
from tratto.tasks.repair import RepairOptions
from tratto.tasks.restore import RestoreOptions

def restore(
    picture: Any,
    options: RestoreOptions | None = ...,
    *,
    mask: Any = ...,
    page: int | None = ...,
    session: Session | None = ...,
    scale: Literal[1, 2, 3, 4] = ...,
    strength: float = ...,
    noise_sigma: float | None = ...,
    provider: str = ...,
    kernel: Literal["nearest", "bilinear", "bicubic", "lanczos"] = ...,
    fast: bool = ...,
    force: bool = ...,
    grain: Literal["keep", "reduce", "remove"] = ...,
    seed: int = ...,
    params: dict[str, Any] = ...,
) -> Result: ...
def repair(
    picture: Any,
    options: RepairOptions | None = ...,
    *,
    mask: Any = ...,
    page: int | None = ...,
    session: Session | None = ...,
    threshold: float = ...,
    method: str = ...,
    params: dict[str, Any] = ...,
    caption: str = ...,
    template: str = ...,
    captioner: str = ...,
    grow: float | None = ...,
    blend: float = ...,
    fill_grain: Literal["match", "none"] = ...,
    seed: int = ...,
    passes: int = ...,
) -> Result: ...
def recolor(
    picture: Any,
    options: RecolorOptions | None = ...,
    *,
    swatch: Any = ...,
    texture: Any = ...,
    mask: Any = ...,
    page: int | None = ...,
    session: Session | None = ...,
    color: str | tuple[float, float, float] | None = ...,
    clicks: tuple[tuple[float, float], ...] = ...,
    others: tuple[tuple[float, float], ...] = ...,
    corners: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]] | None = ...,
    repeat: tuple[float, float] | None = ...,
    match: Literal["seen", "paint"] = ...,
    was: str | tuple[float, float, float] | None = ...,
    bounce: float | None = ...,
    pattern: Literal["auto", "keep", "remove"] = ...,
    stains: Literal["keep", "remove"] = ...,
    glossy: bool = ...,
    grow: float = ...,
    feather: float = ...,
    edge: int = ...,
    strength: float = ...,
    provider: Literal["tratto", "sd15"] = ...,
    params: dict[str, Any] = ...,
    seed: int = ...,
) -> Result: ...
def reface(
    picture: Any,
    options: RefaceOptions | None = ...,
    *,
    character: Any = ...,
    mask: Any = ...,
    page: int | None = ...,
    session: Session | None = ...,
    consent: str = ...,
    face: int = ...,
    engine: str = ...,
    label: bool = ...,
    seed: int = ...,
    k_global: int = ...,
    m_global: int = ...,
    k_local: int = ...,
    consistency: float = ...,
    realism: float = ...,
    identity: float = ...,
) -> Result: ...
def enhance(
    picture: Any,
    options: EnhanceOptions | None = ...,
    *,
    depth: Any = ...,
    page: int | None = ...,
    session: Session | None = ...,
    provider: Literal["sdxl-lightning"] = ...,
    params: dict[str, Any] = ...,
    amount: float = ...,
    trust: float = ...,
    seer: str = ...,
    seed: int = ...,
) -> Result: ...
