"""Which measures can be used here, and what is to be said of those that cannot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, MissingWeights
from tratto_lab.evaluation.features import FeatureDistance, features_available
from tratto_lab.evaluation.measures.deep import Dists, Lpips
from tratto_lab.evaluation.measures.files import COMMAND, present
from tratto_lab.evaluation.measures.natural import Brisque, Niqe

Distance = Callable[[NDArray[np.float32], NDArray[np.float32]], float]
Score = Callable[[NDArray[np.float32]], float]
#: What the table calls the distance that needs no further file.
FEATURES = "feature distance"


def distances() -> tuple[dict[str, Distance], str]:
    """Return the perceptual distances that can be measured here, by name, and a line on those that cannot.

    LPIPS and DISTS where their files are, else the feature distance where its packages are installed.

    Examples
    --------
    >>> found, lacking = distances()
    >>> set(found) <= {"LPIPS", "DISTS", FEATURES}, isinstance(lacking, str)
    (True, True)
    """
    if importlib.util.find_spec("torch") is None:
        return {}, str(MissingExtra("LPIPS and DISTS", "bench"))
    found: dict[str, Distance] = {}
    if present("alexnet.ckpt"):
        found["LPIPS"] = Lpips()
    if present("vgg16.ckpt", "dists.pt"):
        found["DISTS"] = Dists()
    if not found and features_available():
        found[FEATURES] = FeatureDistance()
    lacking = [name for name in ("LPIPS", "DISTS") if name not in found]
    return found, f"{' and '.join(lacking)} not measured; for their weights run: {COMMAND}" if lacking else ""


def scores() -> dict[str, Score]:
    """Return the measures for pictures without truth, by name.

    Raises
    ------
    MissingWeights
        If their files are not here.
    MissingExtra
        If SciPy is not installed.

    Examples
    --------
    >>> sorted(scores())  # doctest: +SKIP
    ['BRISQUE', 'NIQE']
    """
    if not present("brisque_svm.txt", "brisque_ranges.pickle", "niqe_params.mat"):
        raise MissingWeights(f"the files of BRISQUE and NIQE are not here; run: {COMMAND}")
    return {"BRISQUE": Brisque(), "NIQE": Niqe()}
