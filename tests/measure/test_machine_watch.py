"""What a machine hides is missing evidence and no error."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from race_cases import write_detector, write_pack

from defectbench.base.records import read_record
from defectbench.base.studies import LatencySettings
from defectbench.measure import machine_watch
from defectbench.measure.machine_watch import Watch, read_or_none
from defectbench.measure.race import RaceEntry, race
from defectbench.measure.workers import worker_failure


def test_a_watch_tells_load_and_clock():
    watch = Watch()
    watch.look()
    seen = watch.evidence()
    assert seen["usable_cores"] >= 1
    assert seen["own_cores_busy"] >= 0
    assert len(seen["clock_mhz"]) == 2


@pytest.mark.parametrize(
    "error",
    [
        OSError("hidden"),
        NotImplementedError("can't find current frequency file"),
        AttributeError(),
        IndexError(),
        KeyError("cpu MHz"),
        TypeError(),
        psutil.AccessDenied(),
    ],
)
def test_hidden_counters_are_none(monkeypatch, error):
    def hidden(*_):
        raise error

    for name in ("cpu_freq", "cpu_times", "Process"):
        monkeypatch.setattr(psutil, name, hidden)
    monkeypatch.setattr(os, "getloadavg", hidden)
    monkeypatch.delattr(os, "sched_getaffinity")
    seen = Watch().evidence()
    assert seen["clock_mhz"] == [None]
    names = ("foreign_cores_busy", "own_cores_busy", "load_average_before", "load_average_after")
    assert [seen[name] for name in names] == [None] * 4
    assert seen["usable_cores"] == os.cpu_count()


def test_a_machine_without_a_clock_says_none(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert machine_watch.clock_mhz() is None


@pytest.mark.parametrize("current", [None, 0.0])
def test_a_clock_without_a_figure_says_none(monkeypatch, current):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=current))
    assert machine_watch.clock_mhz() is None


def test_a_clock_that_stands_still_divides_nothing(monkeypatch):
    monkeypatch.setattr(machine_watch.time, "perf_counter", lambda: 7.0)
    seen = Watch().evidence()
    assert (seen["wall_s"], seen["own_cores_busy"]) == (0.0, None)


HIDES = """
import os, time, psutil
def hidden(*a, **k): raise NotImplementedError("can't find current frequency file")
psutil.cpu_freq = psutil.cpu_times = psutil.Process = os.getloadavg = time.thread_time_ns = hidden
"""


def test_a_machine_that_tells_nothing_is_timed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "hides").mkdir()
    (tmp_path / "hides" / "sitecustomize.py").write_text(HIDES)
    paths = (str(tmp_path / "hides"), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    write_detector(tmp_path / "model.onnx")
    write_pack(tmp_path / "test@16.safetensors")
    out = tmp_path / "latency.json"
    entry = RaceEntry(tmp_path / "model.onnx", tmp_path / "test@16.safetensors", out)
    race([entry], LatencySettings(processes=2, rounds=10, block_calls=2, warmup=1, burst_calls=0))
    record = read_record(out, "latency")
    figures = record["figures"]
    assert (figures["clock_evidence"], figures["ratio_clock"]) == ("none", "wall")
    assert figures["latency_ms_p50"] > 0
    assert figures["ratio_to_reference"] > 0
    assert figures["waiting_share"] is None
    assert record["evidence"][0]["foreign_cores_busy"] is None


def test_a_worker_that_ends_leads_to_all_that_it_said(tmp_path):
    code = "import sys; sys.exit('first line\\nlast line')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    error = worker_failure(run, "model.onnx", "race", "try again")
    assert "model.onnx: race: got 'last line'; all that it said stands in" in str(error)
    log = Path(error.fix.removeprefix("all that it said stands in ").split(";")[0])
    assert log.read_text() == "first line\nlast line\n"
    log.unlink()


def test_other_errors_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        read_or_none(lambda: 1 / 0)
