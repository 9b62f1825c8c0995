"""A folder of published weights that a study names may be gone when methods are recommended."""

import pytest
from tests.weights.tiny_method import write_all

from defectbench.advice.recommending import Asked, mirror_at_hand, recommend, starts_asked
from defectbench.base.errors import ConfigError
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


def test_from_scratch_takes_no_weights_that_are_at_hand(tmp_path):
    write_all(tmp_path)
    base = parse_study("my-plates", STUDY | {"weights_mirror": str(tmp_path)})
    lines = []
    there = starts_asked(Asked(), base, tmp_path, lines.append)
    assert there == (tmp_path, {"tiny": "noise"})
    assert starts_asked(Asked(from_scratch=True), base, tmp_path, lines.append) == (None, {})
    assert lines == []


def test_weights_and_from_scratch_exclude_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("defectbench.advice.recommending._adopted", lambda *_: (None, None))
    with pytest.raises(ConfigError, match=r"--weights: folder: .*leave one of the two out"):
        recommend("plates", print, Asked(weights=tmp_path, from_scratch=True), tmp_path)
