"""The race on a loaded machine: how changes are counted, by hand, and the script, really run on tiny models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "measure")]

from race_cases import write_detector, write_pack  # noqa: E402

from defectbench.base.records import read_record, write_record  # noqa: E402
from race_under_load import compare  # noqa: E402


def run(loaded, *ratios, valid=True):
    models = {
        f"net{n}": {
            "ratio_to_reference": ratio,
            "latency_ms_p50": 2 * ratio if loaded else ratio,
            "reference_ms_p50": 1.0,
            "valid": valid,
        }
        for n, ratio in enumerate(ratios)
    }
    return {"loaded": loaded, "models": models}


def test_changes_are_counted_by_hand():
    runs = [run(False, 4.0, 10.0), run(True, 4.2, 11.0, valid=False), run(False, 4.0, 10.0)]
    figures = compare([*runs, run(True, 4.0, 9.0)])
    assert figures["median_change_of_ratio_under_load"] == pytest.approx((0.05 + 0.1) / 2)
    assert figures["largest_change_of_ratio_under_load"] == pytest.approx(0.1)
    assert figures["median_change_of_ratio_by_race"] == pytest.approx([0.075, 0.05])
    assert figures["median_change_of_wall_ratio_under_load"] == pytest.approx(1.05)
    assert figures["median_change_of_ratio_between_races_without_load"] == 0
    assert (figures["valid_share_under_load"], figures["valid_share_without_load"]) == (0.5, 1.0)
    assert (figures["n_models"], figures["n_races_under_load"]) == (2, 2)


def test_the_script_races_with_and_without_load(tmp_path):
    write_pack(tmp_path / "test@16.safetensors")
    cells = [f"{name}/seed0" for name in ("first", "second")]
    for cell in cells:
        write_detector(tmp_path / cell / "model.onnx")
        files = {"model": tmp_path / cell / "model.onnx", "pack": tmp_path / "test@16.safetensors"}
        write_record(tmp_path / cell / "predictions.record.json", "predictions", {}, files)
    short = json.dumps({"processes": 2, "rounds": 10, "block_calls": 1, "burst_calls": 0})
    options = ["--settings", short, "--repeats", "1", "--on", "0.1", "--off", "0.1"]
    command = [sys.executable, str(ROOT / "benchmarks" / "race_under_load.py"), *options]
    command += ["--out", "found/race.json", *cells]
    seen = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert seen.returncode in (0, 1), seen.stderr  # its figures are not judged here
    record = read_record(tmp_path / "found" / "race.json", "race_under_load")
    assert [race["loaded"] for race in record["races"]] == [False, True, False]
    assert set(record["races"][0]["models"]) == {"first", "second"}
    assert not list(tmp_path.glob("*/seed0/latency"))


def test_the_kept_record_says_that_ratios_hold_under_load():
    """Its figures stand on a page of results that is made from it, and held against it."""
    path = ROOT / "results" / "reference" / "race-under-load" / "switching-2s.json"
    figures = read_record(path, "race_under_load")["figures"]
    assert figures["median_change_of_ratio_under_load"] <= 0.1
    assert figures["valid_share_under_load"] >= 0.9
    page = (ROOT / "docs" / "results" / "race-under-load.md").read_text()
    assert f"{100 * figures['median_change_of_ratio_under_load']:.1f} |" in page
