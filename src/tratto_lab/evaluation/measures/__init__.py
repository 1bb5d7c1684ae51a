"""Measures of quality from published weights: LPIPS, DISTS, BRISQUE, NIQE. See :mod:`.files` for how they are got."""

from tratto_lab.evaluation.measures.choice import distances, scores
from tratto_lab.evaluation.measures.deep import Dists, Lpips
from tratto_lab.evaluation.measures.files import COMMAND, fetch, present
from tratto_lab.evaluation.measures.natural import Brisque, Niqe

__all__ = ["COMMAND", "Brisque", "Dists", "Lpips", "Niqe", "distances", "fetch", "present", "scores"]
