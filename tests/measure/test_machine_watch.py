"""What a machine hides is missing evidence and no error."""

import os

import psutil
import pytest

from defectbench.measure import machine_watch
from defectbench.measure.machine_watch import Watch, read_or_none


def test_a_watch_tells_load_and_clock():
    watch = Watch()
    watch.look()
    seen = watch.evidence()
    assert seen["usable_cores"] >= 1
    assert seen["own_cores_busy"] >= 0
    assert len(seen["clock_mhz"]) == 2


@pytest.mark.parametrize(
    "error", [OSError("hidden"), NotImplementedError(), AttributeError(), psutil.AccessDenied()]
)
def test_hidden_counters_are_none(monkeypatch, error):
    def hidden(*_):
        raise error

    for name in ("cpu_freq", "cpu_times", "Process"):
        monkeypatch.setattr(psutil, name, hidden)
    monkeypatch.setattr(os, "getloadavg", hidden)
    seen = Watch().evidence()
    assert seen["clock_mhz"] == [None]
    names = ("foreign_cores_busy", "own_cores_busy", "load_average_before", "load_average_after")
    assert [seen[name] for name in names] == [None] * 4
    assert seen["usable_cores"] == os.cpu_count()


def test_a_machine_without_a_clock_says_none(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert machine_watch.clock_mhz() is None


def test_other_errors_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        read_or_none(lambda: 1 / 0)
