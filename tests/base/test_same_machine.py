"""What of a machine can change a bit."""

import pytest

from defectbench.base import records
from defectbench.base.same_machine import machine_differences


def card(**changes):
    made = {
        "hardware": {"cpu": "A", "cpu_kind": "avx2", "architecture": "x86_64", "cores": 2},
        "software": {"torch": "2.13", "kernel": "6", "defectbench": "0.2", "python": "3.11.7"},
        "figures": {"threads": 1},
        "device": "A",
    }
    for name, value in changes.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) else value
    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"hardware": {"cores": 8}}, []),
        ({"software": {"kernel": "7", "defectbench": "0.3"}}, []),
        ({"hardware": {"cpu": "B"}}, ["processor A, now B"]),
        ({"hardware": {"cpu_kind": "avx512f"}}, ["kind of processor avx2, now avx512f"]),
        ({"hardware": {"cpu_kind": None}}, ["kind of processor avx2, now not recorded"]),
        ({"software": {"onnx": "1"}}, ["onnx not recorded, now 1"]),
        ({"figures": {"threads": 2}}, ["threads 1, now 2"]),
        ({"device": "H200"}, ["device A, now H200"]),
    ],
)
def test_what_can_change_a_bit_is_told(changes, told):
    assert machine_differences(card(), card(**changes)) == told


def test_processors_of_one_name_are_told_apart_by_their_instructions(monkeypatch):
    told = (
        "model name : E\ncpu family : 25\nmodel : 1\nflags : fpu avx2 fma sse2\n\nmodel name : E\n"
    )
    monkeypatch.setattr(records, "_text", lambda path: told)
    assert records.cpu_kind() == "cpu family 25, model 1, avx2, fma"
    monkeypatch.setattr(records, "_text", lambda path: "Features : fp asimd\nCPU part : 0xd0c\n")
    assert records.cpu_kind() == "CPU part 0xd0c, asimd"
    monkeypatch.setattr(records, "_text", lambda path: None)
    assert records.cpu_kind() is None
