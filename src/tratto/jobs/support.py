"""What a result shows that its source does not support, from its bundle alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tratto.core.capability import Scorer, Use
from tratto.core.errors import ReceiptError
from tratto.jobs.job import Job


def measure_unsupported(job: Job, bundle: Path, clip: str = "") -> dict[str, float]:
    """Compare a result with the original that its bundle holds; see :mod:`tratto.provenance.unsupported`.

    What a mask opened in a repair or a recoloring was asked for, and counts as supported.

    Parameters
    ----------
    job : Job
        Lends the scorer.
    bundle : Path
        With its original; the result is looked for beside it.
    clip : str
        Folder of a CLIP network that compares meanings, too; empty: none.

    Returns
    -------
    dict of str to float
        ``rate`` (share of pixels), ``score``, and with CLIP ``meaning_rate`` and ``meaning_score``.

    Raises
    ------
    ReceiptError
        If the bundle holds no original, or the result is no whole number of times as large.
    """
    from tratto.imaging.color import view_rgb
    from tratto.imaging.opening import open_picture
    from tratto.provenance.bundle import open_account, read_picture
    from tratto.provenance.unsupported import unsupported, unsupported_in_meaning

    account = open_account(bundle)
    facts: Any = account.receipt
    if account.original is None or account.output is None:
        raise ReceiptError(f"{bundle.name} holds no original, so nothing can be said of what its result adds")
    if "picture" not in facts["outputs"]:
        raise ReceiptError(f"{bundle.name} is the account of a scene, which cannot be compared with its source")
    size = facts["outputs"]["picture"]["picture"]
    source = view_rgb(open_picture(account.original, int(facts["inputs"]["picture"]["page"]), job.limits))
    result = view_rgb(read_picture(account.output, size["width"], size["height"]))
    asked_for = facts["task"] != "restore" and account.mask is not None
    supported = np.asarray(account.mask) > 0 if asked_for else None
    noise = facts["inspection"]["noise_sigma"]["value"] or 0.0
    found = unsupported(source, result, float(noise), supported)
    out = {"rate": round(found.rate, 6), "score": round(found.score, 4)}
    if clip:
        services = job.services()
        use: Use[Scorer] = Use("scorer", "clip", {"model": clip})
        meaning = unsupported_in_meaning(source, result, services.open(services.settle(use)))
        out |= {"meaning_rate": round(meaning.rate, 6), "meaning_score": round(meaning.score, 4)}
    return out
