"""Latency from exported times of trtexec, made by hand."""

import json

import pytest

from defectbench.base.errors import MeasurementError
from defectbench.measure.edge.trtexec_times import trtexec_figures


def run(entry, latency, compute, printed=""):
    queries = [{"latencyMs": ms, "computeMs": compute} for ms in latency]
    return {"entry": entry, "status": 0, "printed": printed, "export_times": json.dumps(queries)}


def test_the_ratio_is_to_the_reference_right_before():
    answers = [
        {
            "trtexec": [
                run(None, [1, 1, 1], 0.9),
                run(1, [9, 9, 9], 8),
                run(None, [2, 2, 2], 1.9),
                run(0, [4, 4, 8], 3),
            ]
        },
        {
            "trtexec": [
                run(None, [1, 1, 1], 0.9),
                run(0, [2, 2, 2], 1),
                run(None, [3, 3, 3], 2),
                run(1, [9, 9, 9], 8),
            ]
        },
    ]
    figures = trtexec_figures(answers, 0)
    assert figures["ratio_to_reference"] == pytest.approx(2.0)
    assert figures["latency_ms_p50"] == 3.0
    assert figures["forward_ms_p50"] == 2.0
    assert figures["n_calls"] == 6
    assert figures["reference_ms_p50"] == 1.5
    assert figures["invalid_because"] == []


def test_what_trtexec_calls_unstable_is_marked():
    said = "[11/29/2026-10:00:00] [W] * GPU compute time is unstable, with coefficient of variance = 4.7%.\n"
    answers = [{"trtexec": [run(None, [1], 1), run(0, [2], 1, said)]}]
    assert trtexec_figures(answers, 0)["invalid_because"] == [
        "GPU compute time is unstable, says trtexec"
    ]


@pytest.mark.parametrize("times", [None, "[", "[{}]", '{"a": 1}'])
def test_a_run_without_times_is_named_by_what_it_said(times):
    broken = {"entry": 0, "status": 1, "printed": "x\n&&&& FAILED\n", "export_times": times}
    with pytest.raises(MeasurementError, match="&&&& FAILED"):
        trtexec_figures([{"trtexec": [run(None, [1], 1), broken]}], 0)
