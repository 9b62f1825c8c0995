"""A folder of published weights that a study names may be gone when methods are recommended."""

from defectbench.advice.recommending import mirror_at_hand
from defectbench.base.studies import parse_study

STUDY = {"study": "my-plates", "blocks": [{"datasets": ["d"], "methods": ["alpha"]}]}


def told(**fields):
    lines = []
    return mirror_at_hand(parse_study("my-plates", STUDY | fields), lines.append), lines


def test_a_folder_that_is_gone_is_told_and_counts_as_none(tmp_path):
    assert told() == (None, [])
    assert told(weights_mirror=str(tmp_path)) == (tmp_path, [])
    folder, (line,) = told(weights_mirror=str(tmp_path / "stick"))
    assert folder is None
    assert "weights_mirror of study my-plates" in line
