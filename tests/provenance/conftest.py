from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from skimage import data

from tratto.core.artifact import InputPicture
from tratto.core.capability import ModelRef
from tratto.core.hashing import FileFacts
from tratto.core.image import ColorMode, Image, Mask, Metadata
from tratto.core.inspection import Estimate, Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import Result
from tratto.core.step import StepRecord
from tratto.imaging import io
from tratto.imaging.artifact import Picture
from tratto.imaging.resample import enlarge_into
from tratto.provenance.bundle import BundleParts, write_bundle
from tratto.provenance.confidence import confidence_map
from tratto.provenance.edit_map import edit_map
from tratto.provenance.receipt import InputFacts, ReceiptInputs, build_receipt


@dataclass(frozen=True)
class Smooth:
    """A step with the looks of a real one."""

    provider: str = "mean"
    strength: float = 1.0
    params: dict = field(default_factory=dict)
    name: ClassVar[str] = "smooth"

    def resolve(self, canvas, services):
        return self

    def apply(self, canvas, services):
        raise NotImplementedError


@dataclass(frozen=True)
class Job:
    """What a made-up job is like."""

    scale: int = 1
    bits: int = 8
    generative: bool = False
    changed: bool = True
    orientation: int = 1
    alpha: bool = False
    masked: bool = False
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ("noise: sigma 9.8 of 255 (estimated)",)
    input_format: str = "png"
    size: tuple[int, int] = (48, 64)


def inspection(width, height):
    return Inspection(
        width=width,
        height=height,
        mode="rgb",
        bits=8,
        format="png",
        noise_sigma=Estimate(9.8, "estimated", "from flat areas"),
        noise_channels=(9.5, 9.9, 10.1),
        noise_curve=((0.25, 9.0), (0.75, 10.5)),
        jpeg_quality=Estimate(None, "not measurable", "no JPEG artefacts"),
        jpeg_generations=0,
        blur_sigma=Estimate(0.7, "estimated", ""),
        upscale=Estimate(1.0, "estimated", ""),
        clipped_low=0.0,
        clipped_high=0.004,
    )


def build(job: Job, folder: Path) -> tuple[Result, Path]:
    """Return a result and the input file it came from."""
    rng = np.random.default_rng(7)
    h, w = job.size
    clean = data.astronaut()[:h, :w].astype(float) * (257 if job.bits == 16 else 1)
    full = (1 << job.bits) - 1
    dtype = np.uint16 if job.bits == 16 else np.uint8
    noisy = np.clip(clean + rng.normal(0, 10 * full / 255, clean.shape), 0, full).astype(dtype)
    alpha = rng.integers(0, full + 1, (h, w)).astype(dtype) if job.alpha else None
    meta = Metadata(format=job.input_format, orientation=job.orientation)
    source = Image(noisy, ColorMode.RGB, job.bits, alpha, meta=meta)
    path = folder / f"input.{job.input_format}"
    io.write_image(source, path, job.input_format, io.WriteOptions(quality=90))
    source = io.read_image(path)

    base = source
    if job.scale > 1:
        big = np.zeros((h * job.scale, w * job.scale, 3), dtype)
        enlarge_into(source.pixels, big, job.scale, "bicubic", full)
        big_alpha = None
        if source.alpha is not None:
            big_alpha = np.zeros(big.shape[:2], dtype)
            enlarge_into(source.alpha, big_alpha, job.scale, "bicubic", full)
        base = source.replace(pixels=big, alpha=big_alpha)
    mask = None
    after = base.pixels
    if job.changed:
        after = ((base.pixels.astype(np.uint32) + np.roll(base.pixels, 1, 1) + np.roll(base.pixels, 1, 0)) // 3).astype(
            dtype
        )
        if job.masked:
            values = np.zeros((h, w), np.float32)
            values[8:24, 8:24] = 1
            values[24:30, 8:24] = np.float32(32768 / 65535)
            mask = Mask(values)
            keep = np.repeat(np.repeat(values, job.scale, 0), job.scale, 1) == 0
            after = np.where(keep[..., None], base.pixels, after)
    result_image = base.replace(pixels=np.ascontiguousarray(after))

    edits = np.zeros(after.shape[:2], np.uint16)
    stats = edit_map(base, result_image, edits)
    sure = np.zeros_like(edits)
    sigma = np.full(edits.shape, 900, np.uint16)
    confidence_map(sigma, 1.0 if job.changed else 0.0, sure)
    record = StepRecord(
        step="smooth",
        params={"provider": "mean", "strength": 1.0, "params": {}},
        provider="mean",
        precision="fp32",
        library=f"numpy {np.__version__}",
        models=(ModelRef("mean-3", "ab" * 32, "Apache-2.0"),),
        seed=3,
        generative=job.generative,
        confidence_basis="model",
        scores={"gain": 1.5},
        notes=job.notes,
        input_digest=io.digest(source),
        output_digest=io.digest(result_image),
        observed={"seconds": 0.25, "tiles": np.int64(4)},
    )
    recipe = Recipe("restore", (Smooth(),) if job.changed else (), 3, job.reasons)
    records = (record,) if job.changed else ()
    receipt = build_receipt(
        ReceiptInputs(
            asked=recipe,
            resolved=recipe,
            records=records,
            inspection=inspection(w, h),
            inputs={"picture": InputFacts(source, io.digest(source), 0, FileFacts.of(path.read_bytes()))},
            outputs={"picture": Picture(result_image)},
            edit=stats,
            edit_map=edits,
            confidence=sure,
            mask=mask,
            warnings=job.notes,
            threads=2,
        )
    )
    result = Result(
        outputs={"picture": Picture(result_image)},
        inputs={"picture": InputPicture(source, path)},
        edit_map=edits,
        confidence=sure,
        inspection=inspection(w, h),
        asked=recipe,
        resolved=recipe,
        records=records,
        receipt=receipt,
        warnings=job.notes,
        mask=mask,
    )
    return result, path


@dataclass(frozen=True)
class Made:
    """A written job."""

    result: Result
    input: Path
    output: Path
    bundle: Path
    receipt: dict


@pytest.fixture
def make_result(tmp_path):
    def make(**job):
        return build(Job(**job), tmp_path)

    return make


@pytest.fixture
def make_bundle(tmp_path):
    def make(name="photo.png", save=None, **job):
        result, source = build(Job(**job), tmp_path)
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        output = folder / name
        fmt = {"png": "png", "tif": "tiff", "jpg": "jpeg", "webp": "webp"}[name.rpartition(".")[2]]
        part = folder / ".photo.part"
        io.write_image(result.image, part, fmt, io.WriteOptions())
        parts = BundleParts(
            result=result, written=part, output=output, output_format=fmt, original=source, original_name=source.name,
            **(save or {}),
        )  # fmt: skip
        receipt = write_bundle(parts)
        return Made(result, source, output, folder / f"{name.rpartition('.')[0]}.tratto", receipt)

    return make
