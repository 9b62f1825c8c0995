"""The drawn sets of the overlap finder's scale, and its record."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import overlap_scale  # noqa: E402


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ((0, 0), (0, 0), 1.0),
        ((0, 0), (100, 0), 0.5),
        ((0, 20), (100, 0), 0.45),
        ((0, 0), (200, 0), 0),
    ],
)
def test_share_of_two_crops(first, second, share):
    assert overlap_scale.shared(first, second) == pytest.approx(share)


def test_a_small_set_is_found_whole():
    figures = overlap_scale.figures_of(14)
    assert figures["images"] == 14
    assert figures["plain_pairs"] >= 12  # neighbours of two strips, of ten crops and of four
    assert figures["plain_found"] == figures["plain_pairs"]
    assert figures["across_strips"] == 0
    assert figures["peak_memory_mib"] >= figures["memory_before_mib"] > 0


def test_a_record_is_gone_on_with(tmp_path, monkeypatch):
    out = tmp_path / "scale.json"
    out.write_text(json.dumps({"figures": {"sets": [{"images": 30, "cpu_s": 1.0}]}}))
    asked = []

    def run(command, **options):
        asked.append(command[-1])
        row = {"images": int(command[-1]), "cpu_s": 2.0}
        return type("Done", (), {"stdout": json.dumps([row])})

    monkeypatch.setattr(overlap_scale.subprocess, "run", run)
    monkeypatch.setattr(
        sys, "argv", ["overlap_scale.py", "--images", "30", "20", "--out", str(out)]
    )
    overlap_scale.main()
    sets = json.loads(out.read_text())["figures"]["sets"]
    assert asked == ["20"]
    assert [(row["images"], row["cpu_s"]) for row in sets] == [(20, 2.0), (30, 1.0)]
    assert "cpu_kind" in sets[0]["hardware"]
