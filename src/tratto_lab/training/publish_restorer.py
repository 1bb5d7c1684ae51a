"""What a card says of the networks of ``restore``; :mod:`tratto_lab.training.publish` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import OptionError
from tratto.models.card import ModelCard
from tratto_lab.evaluation.measures import distances
from tratto_lab.evaluation.restore import Report, RestorePlan, evaluate_restore, restorer_method
from tratto_lab.training.config import Run
from tratto_lab.training.export import export, receptive_radius
from tratto_lab.training.loop import build_network
from tratto_lab.training.publish import (
    Description,
    Sources,
    key_of,
    main,
    seconds_per_megapixel,
    training_data,
)

#: Wall time on two cores over processor time of one thread, about; benchmarks/restore_speed.py measures the wall time.
TWO_CORES = 0.55
SPEED_NOTE = "least CPU seconds of one thread seen on a tile (Xeon with AVX-512), times 0.55 for two cores"
#: Cards of networks for noise: measured with noise.
NOISE = ("tratto-restore-x1", "tratto-restore-real")
#: The card of what was trained for likeness, on from SPAN.
SHARP = "span-sharp-x4"


@dataclass(frozen=True)
class Place:
    """What a card says about running a network tile by tile."""

    tile: int
    overlap: int
    multiple: int
    border: int


PLACES = {
    "tratto-restore-x1": Place(1024, 108, 4, 16),
    "tratto-restore-real": Place(1024, 208, 8, 16),
    "tratto-restore-jpeg": Place(512, 48, 16, 16),
    "tratto-restore-x2": Place(512, 24, 1, 0),
    "tratto-restore-x4": Place(512, 32, 1, 0),
    "span-sharp-x4": Place(512, 40, 1, 0),
}
"""How the shipped networks are run: three quarters of the overlap cover the receptive field. More reflected pixels than
the border brought nothing on the held-out photographs, and the enlargers were better without any."""


def describe(run: Run, sources: Sources, weights: Path) -> Description:
    """Write the weights of a network of ``restore``, and return what the card says of them."""
    name = run.card_id
    if name not in PLACES:
        raise OptionError(f"weights of {name} are not published by this command, but those of {', '.join(PLACES)}")
    if name != SHARP and (run.optim.perceptual or run.optim.adversarial):
        raise OptionError(f"{name} must not be trained with losses of likeness: they invent")
    place = PLACES[name]
    made = export(run, sources.runs / run.name, sources.photos, weights)
    network = build_network(run)
    radius = receptive_radius(network, place.multiple, 384 if run.scale == 1 else 96)
    quality: dict[str, object] = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "receptive_radius": radius,
        "onnx_max_difference": float(f"{made.max_difference:.2g}"),
        "sigma_factor": round(made.calibration.factor, 4),
    }
    quality |= {f"held_out_{key_of(k)}_within_one_sigma": v for k, v in made.calibration.within.items()}
    quality["reliability_predicted_255"] = [round(255 * a, 2) for a, _ in made.calibration.curve]
    quality["reliability_met_255"] = [round(255 * b, 2) for _, b in made.calibration.curve]

    def measure(card: ModelCard) -> tuple[dict[str, object], dict[str, object]]:
        seconds = seconds_per_megapixel(card)
        return measure_quality(card, sources.benchmarks), {
            "seconds_per_megapixel": round(seconds * TWO_CORES, 3),
            "cpu_seconds_per_megapixel": round(seconds, 3),
            "how": SPEED_NOTE,
        }

    return Description(_fields(run, place, radius, training_data(sources.runs)), quality, measure)


def quality_of(report: Report, method: str, prefix: str) -> dict[str, object]:
    """Flatten the rows of one method to card keys: ``<prefix>_<case>_psnr`` and so on."""
    out: dict[str, object] = {}
    for row in report.rows:
        if row.method == method:
            out[f"{prefix}_{key_of(row.case)}_psnr"] = round(row.psnr, 2)
            out[f"{prefix}_{key_of(row.case)}_ssim"] = round(row.ssim, 4)
            if row.within_one_sigma is not None and row.case != "clean":
                out[f"{prefix}_{key_of(row.case)}_within_one_sigma"] = round(row.within_one_sigma, 3)
            out |= {f"{prefix}_{key_of(row.case)}_{key_of(k)}": round(v, 4) for k, v in row.measures.items()}
    return out


def measure_quality(card: ModelCard, benchmarks: Path) -> dict[str, object]:
    """Measure a card's network on the benchmark folders that are there, after the weights were chosen.

    Parameters
    ----------
    card : ModelCard
        An embedded card whose weights lie in the package.
    benchmarks : Path
        Folder with ``CBSD68``, ``Classic5``, ``Set5``.
    """
    from tratto.providers.restorer.tratto import open_card

    method = restorer_method(open_card(card))
    plans: list[tuple[str, RestorePlan]]
    if card.id in NOISE:
        plans = [("CBSD68", RestorePlan(sigmas=(15.0, 25.0, 50.0), qualities=(), clean=True))]
    elif card.scale == 1:
        plans = [
            ("CBSD68", RestorePlan(sigmas=(), qualities=(10, 40), clean=False)),
            ("Classic5", RestorePlan(sigmas=(), qualities=(10, 20, 30, 40), clean=False)),
        ]
    else:
        plan = RestorePlan(sigmas=(), qualities=(), clean=False, scales=(card.scale,))
        plans = [("CBSD68" if card.generative else "Set5", plan), ("Set14", plan)]
    measures = distances()[0] if card.generative else {}
    out: dict[str, object] = {}
    for name, plan in plans:
        if (benchmarks / name).is_dir():
            report = evaluate_restore(benchmarks / name, {"tratto": method}, plan, measures=measures)
            out |= quality_of(report, "tratto", name.lower())
    return out


def _fields(run: Run, place: Place, radius: int, pictures: list[str]) -> dict[str, object]:
    if run.scale == 1:
        limits = [
            "Trained on few photographs; no faces and hardly any interiors among them.",
            "Trained on JPEG alone, its blocks where the network's own are: noise stays, and a grid elsewhere must be "
            "found and aligned first."
            if run.card_id.endswith("jpeg")
            else "Trained on white noise, and on noise of cameras, film grain and compression as they are simulated "
            "(tratto_lab.simulate.degrade); print screens, banding, scratches and blur are not what it was trained for."
            if run.card_id.endswith("real")
            else "Trained on Gaussian, Poisson and camera noise, little JPEG and mild blur; film grain, banding, "
            "scratches and strong blur are not what it was trained for.",
        ]
        if radius > place.overlap:
            limits.append(
                f"The receptive field reaches {radius} pixels, more than the overlap of {place.overlap}; what lies "
                "beyond the overlap hardly counts, but tiles are not bit-identical to the whole picture."
            )
    else:
        limits = [
            "Trained on few photographs; no faces and hardly any interiors among them.",
            "Trained on clean pictures shrunk mostly by anti-aliased bicubic interpolation, one in ten with light "
            "noise or JPEG; a noisy picture should be denoised first.",
        ]
    if run.card_id == SHARP:
        pictures = [
            "the weights it starts from: span-x4, whose authors do not name their set",
            *(f"here: {pictures_of}" for pictures_of in pictures),
        ]
        limits = [
            "It invents: texture and edges are drawn as they could have been, so that nothing of it is evidence. In "
            "decibels it is farther from what was there than span-x4.",
            limits[0],
            "Trained on clean pictures shrunk mostly by anti-aliased bicubic interpolation: noise, grain and blocks "
            "are drawn as detail, so that such a picture must be cleaned first.",
        ]
    return {
        "capability": "restorer",
        "scale": run.scale,
        "tile": place.tile,
        "overlap": place.overlap,
        "multiple": place.multiple,
        "border": place.border,
        "seam_exact": True,
        "has_sigma": True,
        "generative": run.card_id == SHARP,
        "input": "image",
        "output": "image_out",
        "sigma_output": "sigma",
        "value_range": [0.0, 1.0],
        "paper": (
            "Plain residual U-Net with pixel-unshuffle entry; FFDNet (Zhang et al. 2018), EDSR (Lim et al. 2017), "
            "heteroscedastic standard error (Kendall and Gal 2017)"
            if run.scale == 1
            else "SPAN (Wan et al. 2024, https://arxiv.org/abs/2311.12770), trained on with a perceptual loss (LPIPS, "
            "Zhang et al. 2018) and an adversarial one (Goodfellow et al. 2014; SRGAN, Ledig et al. 2017; spectral "
            "normalisation, Miyato et al. 2018); heteroscedastic standard error (Kendall and Gal 2017)"
            if run.card_id == SHARP
            else "Residual convolutions with pixel-shuffle (Shi et al. 2016; EDSR, Lim et al. 2017) on bicubic "
            "interpolation; heteroscedastic standard error (Kendall and Gal 2017)"
        ),
        "training_data": pictures,
        "limits": limits,
        "used_by": "tratto restore"
        if run.scale == 1
        else "tratto restore --provider span-sharp --scale 4"
        if run.card_id == SHARP
        else f"tratto restore --provider tratto --scale {run.scale}; tratto restore --scale {run.scale} in places "
        "where SPAN fails",
    }


if __name__ == "__main__":
    main()
