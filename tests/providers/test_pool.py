"""The pool of opened providers: shared, bounded, and safe to use from several threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tratto.core.capability import Use
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers import catalogue
from tratto.providers.pool import Lender, Pool


@pytest.fixture
def opened(monkeypatch):
    """Counts what is opened; an opening waits for the others that came with it."""
    made = []

    def open_settled(use, device="auto", pins=None):
        if use.params.get("sigma") == 255:
            raise UnavailableError("not here")
        made.append(use)
        return SimpleNamespace(use=use, device=device, pins=pins)

    monkeypatch.setattr(catalogue, "open_settled", open_settled)
    return made


def nlm(sigma):
    return Use("restorer", "nlm", {"sigma": sigma})


def test_equal_uses_share_one_and_others_do_not(opened):
    pool = Pool()
    assert pool.open(nlm(1)) is pool.open(nlm(1))
    assert pool.open(nlm(1)) is not pool.open(nlm(2))
    assert pool.open(nlm(1), "cpu") is not pool.open(nlm(1))
    assert pool.open(nlm(1), pins={"a": "0"}) is not pool.open(nlm(1))
    assert pool.open(Use("restorer", "nlm", {"sigma": 1}, fast=True)) is not pool.open(nlm(1))
    assert len(opened) == len(pool) == 5


def test_what_was_not_used_for_longest_is_dropped_and_stays_usable(opened):
    pool = Pool(most=3)
    first = pool.open(nlm(1))
    for sigma in (2, 3, 1, 4):  # 1 is used again before there are too many
        pool.open(nlm(sigma))
    assert len(pool) == 3
    assert pool.open(nlm(1)) is first
    pool.open(nlm(2))
    assert [u.params["sigma"] for u in opened] == [1, 2, 3, 4, 2]
    pool.close()
    assert len(pool) == 0
    assert first.use == nlm(1)


def test_large_ones_count_more_but_one_is_always_kept(opened):
    pool = Pool(most=4)
    pool.open(nlm(1))
    pool.open(Use("inpainter", "sdxl", {"model": "m"}))
    assert len(pool) == 1
    with pytest.raises(OptionError, match="at least one"):
        Pool(most=0)


def test_what_cannot_be_opened_leaves_nothing_behind(opened):
    pool = Pool()
    with pytest.raises(UnavailableError):
        pool.open(nlm(255))
    assert len(pool) == 0


def test_many_threads_open_each_provider_once(opened, monkeypatch):
    slow = threading.Event()
    quick = catalogue.open_settled

    def waiting(use, device="auto", pins=None):
        if use == nlm(1):
            slow.wait(5)
        return quick(use, device, pins)

    monkeypatch.setattr(catalogue, "open_settled", waiting)
    pool = Pool()
    with ThreadPoolExecutor(8) as threads:
        ones = [threads.submit(pool.open, nlm(1)) for _ in range(4)]
        other = threads.submit(pool.open, nlm(2)).result(timeout=5)  # does not wait for the slow one
        slow.set()
        assert len({id(f.result()) for f in ones}) == 1
    assert other.use == nlm(2)
    assert len(opened) == 2


def test_a_lender_settles_what_is_not_named(opened):
    lender = Lender(Pool(), "cpu", {"m": "0" * 64})
    got = lender.open(Use("restorer", scale=2))
    assert got.use.provider in ("span", "tratto", "bicubic")
    assert (got.device, got.pins) == ("cpu", {"m": "0" * 64})
