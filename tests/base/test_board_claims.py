"""Printed latencies of boards: read, graded by what they do not say, and never of a method that there is not."""

from pathlib import Path

import pytest

from defectbench.base.board_claims import BoardClaim, read_board_claims
from defectbench.base.errors import ConfigError
from defectbench.base.methods import method_names

MODELS = Path(__file__).parents[2] / "models"
WHOLE = {
    "id": "x",
    "board": "b",
    "model": "m",
    "precision": "fp16",
    "ms": 1.0,
    "timed": "gpu compute",
    "power_mode": "15W",
    "tensorrt": "10.3.0",
    "source": "s",
}


@pytest.mark.parametrize(
    ("field", "value", "lacking"),
    [
        ("power_mode", "", "power mode"),
        ("precision", "", "precision"),
        ("timed", "unstated", "what is timed"),
        ("tensorrt", "", "TensorRT version"),
    ],
)
def test_a_claim_that_lacks_one_of_four_cannot_be_measured_again(field, value, lacking):
    assert BoardClaim.model_validate(WHOLE).grade == "reproducible"
    claim = BoardClaim.model_validate(WHOLE | {field: value})
    assert claim.grade == f"not reproducible: no {lacking}"


def test_the_claims_of_the_shelf_are_read_and_name_methods_that_there_are():
    claims = read_board_claims(MODELS)
    assert {claim.id for claim in claims} == {f"e{n}" for n in range(1, 12)}
    assert {claim.method for claim in claims if claim.method} <= set(method_names(MODELS))
    assert {claim.id for claim in claims if claim.grade == "reproducible"} == {"e10"}
    slow, fast = (
        next(c for c in claims if (c.id, c.precision, c.timed) == (i, "fp16", "gpu compute"))
        for i in ("e2", "e1")
    )
    assert slow.ms / fast.ms == pytest.approx(1.38, abs=0.01)  # the power mode alone


def test_a_shelf_without_the_file_has_none_and_a_wrong_field_is_named(tmp_path):
    assert read_board_claims(tmp_path) == []
    (tmp_path / "board_claims.yaml").write_text(
        "claims: [{id: x, board: b, model: m, source: s, figures: [{ms: 0, timed: forward}]}]\n"
    )
    with pytest.raises(ConfigError, match=r"claims\.0\.ms"):
        read_board_claims(tmp_path)
