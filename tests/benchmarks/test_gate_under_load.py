"""Repeats of the gate without a change: counted by hand, and of files of other bytes."""

import pytest

from defectbench.base.files import sha256_file
from gate_under_load import copy_of, summarise
from tests.small_models import write_model


def row(ratio, offends=False, is_told=True):
    return {"ratio": ratio, "offends": offends, "is_told": is_told}


def test_failing_repeats_are_counted():
    repeats = [
        {"a": row(1.01), "b": row(0.98)},
        {"a": row(1.2, offends=True), "b": row(1.0, is_told=False)},
    ]
    figures = summarise(repeats)
    assert (figures["n_repeats"], figures["n_failing"], figures["n_rows"]) == (2, 1, 4)
    assert figures["told_share"] == 0.75
    assert figures["largest_distance_from_1"] == pytest.approx(0.2)
    first = {"n": 2, "told": 2, "offends": 1, "least": 1.01, "largest": 1.2}
    assert figures["methods"]["a"] == first | {"median": pytest.approx(1.105)}
    assert figures["methods"]["b"]["told"] == 1


def test_a_copy_is_the_same_network_in_other_bytes(tmp_path):
    model = write_model(tmp_path / "model.onnx")
    copied = copy_of(model, tmp_path / "copy" / "model.onnx")
    assert sha256_file(copied) != sha256_file(model)
