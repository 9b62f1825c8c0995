"""Latency from exported times of trtexec, made by hand."""

import pytest
from tests.measure.edge.trtexec_runs import HEAD, MARKS, run

from defectbench.base.errors import MeasurementError, ProgramError
from defectbench.measure.edge.trtexec_times import trtexec_figures


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


def test_what_trtexec_says_against_a_run_is_kept_of_the_model_and_of_the_reference():
    unstable = "[W] * GPU compute time is unstable, with coefficient of variance = 4.7%.\n"
    bound = "[W] * Throughput may be bound by Enqueue Time rather than GPU Compute.\n"
    reference = run(None, [1], 1, MARKS + bound)
    answers = [{"trtexec": [reference, run(0, [2], 1, MARKS + unstable)]}]
    assert trtexec_figures(answers, 0)["invalid_because"] == [
        "submitting a query takes the host longer than the GPU computes it",
        "compute time is unstable: coefficient of variation 4.7 %",
    ]


@pytest.mark.parametrize("times", [None, "[", "[]", "[{}]", '{"a": 1}'])
def test_a_run_without_times_is_named(times):
    broken = {**run(0, [1], 1), "export_times": times}
    with pytest.raises(MeasurementError, match="trtexec"):
        trtexec_figures([{"trtexec": [run(None, [1], 1), broken]}], 0)


def test_a_run_that_failed_is_named_by_what_it_said():
    failed = f"{HEAD}{MARKS}[E] no room\n&&&& FAILED TensorRT.trtexec [TensorRT v100300] # x\n"
    with pytest.raises(ProgramError, match="no room"):
        trtexec_figures(
            [{"trtexec": [run(None, [1], 1), {**run(0, [1], 1), "printed": failed}]}], 0
        )
