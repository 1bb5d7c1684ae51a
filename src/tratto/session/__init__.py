"""The composition root and the SDK.

``jobs`` holds the session; ``opening``, ``cost``, ``account``, ``writing`` and ``replaying`` are its parts, each usable
alone; ``sdk`` has the same as plain functions.
"""

from tratto.session.jobs import Session
from tratto.session.opening import check_mask_is_another, mask_share, mask_warnings, open_mask, open_picture
from tratto.session.options import ENDINGS, FORMATS, Estimated, JobLimits, Progress, Saved, SaveOptions
from tratto.session.replaying import Replayed
from tratto.session.sdk import audit, inspect, known_models, replay, revert, save, verify
from tratto.session.writing import format_notes

__all__ = [
    "ENDINGS",
    "FORMATS",
    "Estimated",
    "JobLimits",
    "Progress",
    "Replayed",
    "SaveOptions",
    "Saved",
    "Session",
    "audit",
    "check_mask_is_another",
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
