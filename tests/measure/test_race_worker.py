"""One model of a race: what is a phase of its own, and what is part of the forward pass."""

import numpy as np
import pytest
from tests.small_models import SIDE, write_steady

from defectbench.measure import race_worker
from defectbench.measure.race_worker import Runner


def runner_of(folder, **more):
    path = folder / "model.onnx"
    write_steady(path, more)
    images = [np.full((SIDE, SIDE, 3), 128, np.uint8)]
    request = {"model": str(path), "threshold": 0.0, "engine": "onnxruntime"}
    return Runner(request, 1, images)


@pytest.fixture
def asked(monkeypatch):
    """What each answer was made by; it takes a millisecond."""
    seen = []

    def answer_of(boxes, scores, threshold, suppression):
        seen.append(suppression)
        started = race_worker.time.perf_counter_ns()
        while race_worker.time.perf_counter_ns() - started < 1_000_000:
            pass

    monkeypatch.setattr(race_worker, "answer_of", answer_of)
    return seen


def test_suppression_is_a_phase_of_its_own(tmp_path, asked):
    runner = runner_of(tmp_path)
    runner.run_block(2)
    assert runner.has_post
    assert all(post > 900_000 for _, _, post, _ in runner.calls[0])
    assert len(runner.scoring_post) == 1
    assert set(asked) == {"nms"}


def test_what_needs_no_suppression_has_no_such_phase_but_its_choice_is_on_the_clock(
    tmp_path, asked
):
    runner = runner_of(tmp_path, suppression="none")
    runner.run_block(2)
    assert not runner.has_post
    assert all(post == 0 and forward > 900_000 for _, forward, post, _ in runner.calls[0])
    assert runner.scoring_post == []
    assert set(asked) == {"none"}
