"""Jobs on one pool: each with its own progress, cancel, forensic flag, notary and limits; same bytes as one by one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tratto
from tratto.core.errors import Cancelled, ForbiddenStep, OptionError, PictureTooLarge
from tratto.imaging.io import digest
from tratto.jobs import Job, JobLimits
from tratto.providers.pool import Pool
from tratto.tasks import task_named


def noisy(seed, side=96):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    clean = np.stack([120 + 60 * np.sin(5 * x), 110 + 70 * y, 90 + 50 * np.cos(4 * x * y)], -1)
    return np.clip(clean + rng.normal(0, 18, clean.shape), 0, 255).astype(np.uint8)


def hole(side=96):
    mask = np.zeros((side, side), bool)
    mask[30:34, 20:70] = True
    return mask


TASKS = [
    ("restore", {}, {}),
    ("restore", {}, {"scale": 2}),
    ("repair", {"mask": hole()}, {}),
    ("recolor", {"mask": hole()}, {"color": "#9db4c8"}),
]


def options_of(task, fields):
    return task_named(task).model(**fields)


def run(pool, number, **settings):
    task, inputs, fields = TASKS[number % len(TASKS)]
    stages = []
    job = Job(pool=pool, progress=lambda *told: stages.append(told), **settings)
    result = job.run(task, {"picture": noisy(number), **inputs}, options_of(task, fields))
    return digest(result.image), [r.to_json() for r in result.records], stages


def test_four_threads_on_one_pool_give_the_bytes_of_one_after_the_other():
    alone = [run(Pool(), n) for n in range(8)]
    pool = Pool()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda n: run(pool, n), range(8)))
    for (one, records, stages), (other, records_too, stages_too) in zip(alone, together, strict=True):
        assert one == other
        assert records == records_too
        assert stages == stages_too  # each heard of its own work, and of all of it
    assert 0 < len(pool) <= 12


def test_two_jobs_at_once_have_their_own_settings():
    pool, begun, go = Pool(), threading.Event(), threading.Event()
    heard = []

    def slow(stage, done, total):
        begun.set()
        assert go.wait(20)
        heard.append(stage)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(Job(pool=pool, progress=slow).run, "restore", {"picture": noisy(1)})
        assert begun.wait(20)
        strict = Job(pool=pool, forensic=True)
        with pytest.raises(ForbiddenStep):
            strict.run("repair", {"picture": noisy(2), "mask": hole()})
        with pytest.raises(PictureTooLarge):
            Job(pool=pool, job_limits=JobLimits(output_pixels=100)).run("restore", {"picture": noisy(3)})
        forensic = strict.run("restore", {"picture": noisy(1)})
        assert heard == []  # the second job told the first one's listener nothing
        go.set()
        plain = first.result(60)
    assert heard
    assert forensic.receipt["forensic"]
    assert not plain.receipt["forensic"]
    assert digest(plain.image) == digest(forensic.image)


@pytest.mark.parametrize("number", range(len(TASKS)))
def test_a_job_stops_within_a_tile_and_no_other_job_with_it(number):
    pool = Pool()
    task, inputs, fields = TASKS[number]
    calls = []

    def stop(stage, done, total):
        calls.append((done, total))
        job.cancel()

    job = Job(pool=pool, progress=stop)
    with pytest.raises(Cancelled):
        job.run(
            task, {"picture": noisy(number, 700), **({"mask": hole(700)} if inputs else {})}, options_of(task, fields)
        )
    assert len(calls) <= 1  # the report that stopped it was the last
    assert run(pool, number)[0]


def test_cancelled_before_it_begins():
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        job.run("restore", {"picture": noisy(0)})


def test_run_names_what_is_missing():
    with pytest.raises(OptionError, match="'sing'"):
        Job().run("sing", {"picture": noisy(0)})
    with pytest.raises(OptionError, match="restore needs"):
        Job().run("restore", {"mask": hole()})


def test_a_session_is_a_name_for_a_pool():
    one = tratto.Session()
    other = tratto.Session(forensic=True, pool=one.pool)
    a = tratto.restore(noisy(5), session=one)
    opened = len(one.pool)
    b = tratto.restore(noisy(5), session=other)
    assert len(one.pool) == opened > 0  # nothing was opened again
    assert digest(a.image) == digest(b.image)
    assert (a.receipt["forensic"], b.receipt["forensic"]) == (False, True)
