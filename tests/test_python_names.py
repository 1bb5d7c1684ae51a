"""How Python says what the command line calls otherwise, as docs/restore.md tells it."""

import numpy as np
import pytest

import tratto
from tratto.core.errors import OptionError
from tratto.jobs import JobLimits

NOISY = np.clip(128 + np.random.default_rng(0).normal(0, 25, (40, 48, 3)), 0, 255).astype(np.uint8)


def test_forensic_mode_and_limits_belong_to_the_session():
    session = tratto.Session(forensic=True, job_limits=JobLimits(10_000, 5.0))
    assert tratto.restore(NOISY, provider="nlm", noise_sigma=12, session=session).receipt["forensic"] is True
    assert tratto.restore(NOISY, provider="nlm").receipt["forensic"] is False


@pytest.mark.parametrize("wrong", [{"forensic": True}, {"sigma": 12}])
def test_the_names_of_the_command_line_are_refused_with_those_that_there_are(wrong):
    with pytest.raises(OptionError, match=f"there is no option '{next(iter(wrong))}'; there are .*noise_sigma"):
        tratto.restore(NOISY, **wrong)
