"""Which device a run gets."""

import pytest
import torch

from defectbench.base.devices import device_name, fix_arithmetic, resolve_device
from defectbench.base.errors import ConfigError


@pytest.mark.parametrize(
    ("wanted", "has_gpu", "expected"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, wanted, has_gpu, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert resolve_device(wanted) == expected


@pytest.mark.parametrize(("wanted", "fix"), [("cuda", "use cpu or auto"), ("tpu", "choose one of")])
def test_a_device_that_is_not_there_is_named(monkeypatch, wanted, fix):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=fix):
        resolve_device(wanted)


def test_the_processor_has_a_name():
    assert device_name("cpu")


def test_equal_arithmetic_does_not_write_over_new_memory():
    before = torch.are_deterministic_algorithms_enabled()
    try:
        fix_arithmetic("cpu")
        assert torch.are_deterministic_algorithms_enabled()
        with torch.profiler.profile() as profile:
            torch.empty(1000)
        assert "aten::fill_" not in {event.key for event in profile.key_averages()}
    finally:
        torch.use_deterministic_algorithms(before)
