"""The composition root and the SDK.

``job`` is one run; ``session`` a thin name for a pool and the settings of its jobs; ``cost``, ``account``, ``writing``
and ``replaying`` are the parts of a run, each usable alone; ``folder`` does many pictures; ``sdk`` has the same as
plain functions.
"""

from tratto.engine.cost import Estimated
from tratto.imaging.opening import check_mask_is_another, mask_share, mask_warnings, open_mask, open_picture
from tratto.jobs.job import Job
from tratto.jobs.options import EXTENSIONS, FORMATS, JobLimits, Progress, Saved, SaveOptions
from tratto.jobs.replaying import Replayed
from tratto.jobs.sdk import (
    audit,
    estimate_depth,
    estimate_depth_confidence,
    find_faces,
    inspect,
    known_models,
    replay,
    revert,
    save,
    verify,
)
from tratto.jobs.session import Session
from tratto.jobs.writing import format_notes

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Estimated",
    "Job",
    "JobLimits",
    "Progress",
    "Replayed",
    "SaveOptions",
    "Saved",
    "Session",
    "audit",
    "check_mask_is_another",
    "estimate_depth",
    "estimate_depth_confidence",
    "find_faces",
    "format_notes",
    "inspect",
    "known_models",
    "mask_share",
    "mask_warnings",
    "open_mask",
    "open_picture",
    "replay",
    "revert",
    "save",
    "verify",
]
