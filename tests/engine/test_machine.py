import pytest

from tratto.engine import machine


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still but for what a trial takes: 1 second of processor and 4 by the wall."""
    now = {"wall": 100.0, "cpu": 5.0, "waited": 10.0}

    def trial():
        now["wall"] += 4.0
        now["cpu"] += 1.0
        now["waited"] += 3.0
        return 0.0

    monkeypatch.setattr(machine, "_trial", trial)
    monkeypatch.setattr(machine, "_last", None)
    monkeypatch.setattr(machine.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(machine.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(machine.time, "thread_time", lambda: now["cpu"])
    monkeypatch.setattr(machine, "REFERENCE", 0.5)
    monkeypatch.setattr(machine, "GOOD", 1000.0)
    monkeypatch.setattr(machine, "_worked_and_waited", lambda: (now["cpu"], now["waited"]))
    return now


def test_other_work_counts_by_all_that_a_young_thread_has_waited(clock):
    run, waited = 5.0 + 1 + machine.TIMES, 10.0 + 3 * (1 + machine.TIMES)
    assert machine.slowness() == pytest.approx(2 * (run + waited) / run)


def test_of_an_old_thread_the_trial_alone_counts(clock):
    clock["cpu"] = 1000.0
    assert machine.slowness() == pytest.approx(2 * 4)


def test_where_waiting_is_not_counted_the_wall_clock_is(clock, monkeypatch):
    monkeypatch.setattr(machine, "_worked_and_waited", lambda: None)
    assert machine.slowness() == pytest.approx(2 * 4)


def test_it_is_measured_again_after_a_minute(clock):
    clock["cpu"] = 1000.0
    first = machine.slowness()
    trials = clock["cpu"]
    assert machine.slowness() == first
    assert clock["cpu"] == trials
    clock["wall"] += 2 * machine.GOOD
    machine.slowness()
    assert clock["cpu"] > trials


def test_what_linux_counts_is_read_and_what_it_does_not_is_not(monkeypatch, tmp_path):
    counts = tmp_path / "schedstat"
    monkeypatch.setattr(machine, "_WAITED", counts)
    assert machine._worked_and_waited() is None
    counts.write_text("2500000000 500000000 7\n")
    assert machine._worked_and_waited() == (2.5, 0.5)
    counts.write_text("")
    assert machine._worked_and_waited() is None
