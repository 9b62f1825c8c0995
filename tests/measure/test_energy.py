"""Energy from a tree of files like the kernel's, and from a library that stands in for NVIDIA's."""

import sys
from types import SimpleNamespace

import pytest
from race_cases import write_detector, write_pack

from defectbench.measure import energy, race_worker
from defectbench.measure.energy import find_gpus, find_meters, find_packages, read_joules
from defectbench.measure.race import RaceEntry, make_request
from defectbench.measure.reference import write_reference


def write_zone(root, zone, name, joules, full=1000.0):
    folder = root / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (folder / "max_energy_range_uj").write_text(f"{round(full * 1e6)}\n")
    return folder / "energy_uj"


def test_each_package_is_counted_and_what_lies_within_it_or_around_it_is_not(tmp_path):
    first = write_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    second = write_zone(tmp_path, "intel-rapl:1", "package-1", 7)
    for zone, name in (
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        write_zone(tmp_path, zone, name, 1)
    meters, reason = find_packages(tmp_path)
    assert (read_joules(meters), reason) == ({"package-0": 0.0, "package-1": 0.0}, "")
    first.write_text("8000000\n")
    second.write_text("7500000\n")
    assert read_joules(meters) == {"package-0": 3.0, "package-1": 0.5}


def test_a_counter_that_begins_anew_goes_on(tmp_path):
    counter = write_zone(tmp_path, "intel-rapl:0", "package-0", 998, full=1000)
    (meter,) = find_packages(tmp_path)[0]
    for joules, wanted in ((999, 1), (2, 4), (5, 7), (1, 1003)):
        counter.write_text(str(joules * 10**6))
        assert meter.joules() == wanted


def test_where_nothing_is_told_the_reason_is(tmp_path, monkeypatch):
    assert find_packages(tmp_path / "none") == ([], f"{tmp_path}/none has no processor package")
    write_zone(tmp_path, "intel-rapl:0", "package-0", 5).unlink()
    meters, reason = find_packages(tmp_path)
    assert meters == []
    assert "intel-rapl:0 cannot be read" in reason
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_gpus() == ([], "pynvml is not installed")
    sources = {"rapl": lambda: find_packages(tmp_path / "none"), "nvml": find_gpus}
    assert set(find_meters(sources)[1]) == {"rapl", "nvml"}


def test_a_counter_for_root_alone_is_not_told(tmp_path, monkeypatch):
    counter = write_zone(tmp_path, "intel-rapl:0", "package-0", 5)

    def refuse(path):
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return 1

    monkeypatch.setattr(energy, "read_number", refuse)
    assert find_packages(tmp_path) == ([], f"{counter} may be read by root alone")


class NVMLError(Exception):
    pass


def nvml(*millijoules):
    """A library with a GPU for each figure."""
    counters = list(millijoules)
    return counters, SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(counters),
        nvmlDeviceGetHandleByIndex=lambda n: n,
        nvmlDeviceGetTotalEnergyConsumption=lambda n: counters[n],
    )


def test_gpus_are_counted_by_their_library(monkeypatch):
    counters, library = nvml(1000, 5000)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    meters, reason = find_gpus()
    counters[:] = [3500, 5000]
    assert (read_joules(meters), reason) == ({"gpu-0": 2.5, "gpu-1": 0.0}, "")


def test_a_gpu_without_a_counter_is_not_told(monkeypatch):
    _, library = nvml(1000)

    def refuse(_):
        raise NVMLError("Not Supported")

    library.nvmlDeviceGetTotalEnergyConsumption = refuse
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert find_gpus() == ([], "pynvml: Not Supported")
    monkeypatch.setitem(sys.modules, "pynvml", nvml()[1])
    assert find_gpus() == ([], "pynvml finds no GPU")


class Falling:
    """A meter of so many joules a reading."""

    def __init__(self, name, step):
        self.name, self.step, self.total = name, step, 0.0

    def joules(self):
        self.total += self.step
        return self.total


@pytest.fixture
def runners(tmp_path):
    write_detector(tmp_path / "model.onnx")
    write_pack(tmp_path / "test@16.safetensors")
    write_reference(tmp_path / "reference.onnx")
    entry = RaceEntry(tmp_path / "model.onnx", tmp_path / "test@16.safetensors", tmp_path / "o")
    from defectbench.base.studies import LatencySettings

    settings = LatencySettings(processes=2, rounds=1, block_calls=1, warmup=1)
    return race_worker.load_runners(make_request([entry], settings, 0, tmp_path))[0]


def test_a_pause_and_each_model_are_read_from_meters_that_move(runners, monkeypatch):
    meters = [Falling("package-0", 2.0), Falling("gpu-0", 0.0)]
    monkeypatch.setattr(race_worker, "find_meters", lambda: (meters, {}))
    told = race_worker.run_energy(runners, 0.05)
    assert told["idle_w"] == {"package-0": pytest.approx(40.0)}
    assert told["absent_because"] == {"gpu-0": energy.STANDS_STILL}
    (spent,) = told["runners"]
    assert spent["joules"] == {"package-0": 2.0}
    assert spent["images"] > 0
    assert spent["seconds"] >= 0.05


def test_without_meters_no_call_is_made(runners, monkeypatch):
    monkeypatch.setattr(race_worker, "find_meters", lambda: ([], {"rapl": "hidden"}))
    runners[0].call = None
    assert race_worker.run_energy(runners, 5) == {"absent_because": {"rapl": "hidden"}}
