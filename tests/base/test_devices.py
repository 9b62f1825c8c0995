"""Which device a run gets."""

import pytest
import torch

from defectbench.base.devices import (
    device_name,
    fix_arithmetic,
    multiplies_bfloat16,
    resolve_device,
    settle_precision,
)
from defectbench.base.errors import ConfigError
from defectbench.base.methods import Recipe


@pytest.mark.parametrize(
    ("wanted", "has_gpu", "expected"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, wanted, has_gpu, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert resolve_device(wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "fix"), [("cuda", "use cpu or auto"), ("tpu", "name one of auto, cpu, cuda")]
)
def test_a_device_that_is_not_there_is_named(monkeypatch, wanted, fix):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=fix):
        resolve_device(wanted)


def test_the_processor_has_a_name():
    assert device_name("cpu")


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True, "neon": True}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({}, False),
    ],
)
def test_bfloat16_is_a_matter_of_instructions(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert multiplies_bfloat16("cpu") is expected
    asked = Recipe(precision="auto", options={"guide_precision": "auto", "guide": "auto"})
    kind = "bfloat16" if expected else "float32"
    found = settle_precision(asked, "cpu")
    assert found.precision == kind
    assert found.options == {"guide_precision": kind, "guide": "auto"}


def test_a_gpu_is_asked_for_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert not multiplies_bfloat16("cuda")


def test_a_precision_that_is_said_stays():
    for kind in ("float32", "bfloat16"):
        asked = Recipe(precision=kind, options={"guide_precision": kind})
        assert settle_precision(asked, "cpu") is asked


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
