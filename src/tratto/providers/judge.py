"""Judges of faces on this machine: whose a face is, whether its skin looks real, whether it fits into the scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, FaceIdentity, FaceJudge, FaceLandmarker, FaceTrial, Score, Use
from tratto.core.errors import UnavailableError
from tratto.faces import mesh
from tratto.faces.judge import Consistency, Realism, identity_score
from tratto.faces.region import region_of
from tratto.faces.swap import Target
from tratto.providers import faces
from tratto.providers.catalogue import Request

Picture = NDArray[np.float32]
Judging = Callable[[Picture, Picture], Score]


def missing(request: Request) -> UnavailableError | None:
    """Return why a judge cannot be used here, or None."""
    if request.variant != "likeness":
        return None
    return next((e for r in _networks(request) if (e := faces.missing(r)) is not None), None)


def open(request: Request) -> FaceJudge:
    """Open a judge."""
    if request.variant != "likeness":
        return Measured("realism" if request.variant == "skin" else "consistency", request.variant)
    return Likeness(*(faces.open(r) for r in _networks(request)))


def _networks(request: Request) -> list[Request]:
    """Return who finds points and who tells faces apart."""
    uses: list[Use[Any]] = [Use("landmarks", "facemesh"), Use("identity", "dlib")]
    return [replace(request, use=use, variant="") for use in uses]


class Likeness:
    """Identity: the distance to the mean of the character's pictures; see :class:`tratto.core.capability.FaceJudge`."""

    scores = "identity"

    def __init__(self, landmarks: FaceLandmarker, identity: FaceIdentity) -> None:
        self._landmarks, self._identity = landmarks, identity
        models = landmarks.info.models + identity.info.models
        #: Facts about it.
        self.info = DescriberInfo("likeness", library=identity.info.library, models=models)

    def about(self, trial: FaceTrial) -> Judging:
        """Return what judges candidates; missing where no face is seen."""
        vectors = [self._identity.embed(picture, found) for picture, found in trial.characters]
        whose = np.mean(vectors, axis=0, dtype=np.float32)
        box = mesh.box_of(trial.points)
        was = self._vector(trial.scene, box) if trial.somebody else None

        def judge(picture: Picture, alpha: Picture) -> Score:
            vector = self._vector(picture, box)
            if vector is None:
                return Score(None, why="no face was seen")
            away = None if was is None else float(np.linalg.norm(vector - was))
            return identity_score(float(np.linalg.norm(vector - whose)), away)

        return judge

    def _vector(self, picture: Picture, box: Any) -> NDArray[np.float64] | None:
        seen = self._landmarks.find(picture, box)
        return self._identity.embed(picture, seen).astype(np.float64) if seen.presence >= 0.5 else None


class Measured:
    """Realism or consistency, measured against the scene's own skin; see :mod:`tratto.faces.judge`."""

    def __init__(self, scores: str, name: str) -> None:
        self.scores = scores
        #: Facts about it.
        self.info = DescriberInfo(name, library=f"numpy {np.__version__}")

    def about(self, trial: FaceTrial) -> Judging:
        """Return what judges candidates; missing where there is too little skin."""
        target = Target(trial.scene, trial.points, trial.may, region_of(trial.scene, trial.points))
        return (Realism if self.scores == "realism" else Consistency)(target).score
