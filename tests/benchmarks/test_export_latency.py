"""The comparison of two exports of one architecture, really run; its figures are not judged here."""

import json
import sys
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).parents[2]


def test_both_exports_are_the_same_network_and_timed_in_turn(tmp_path):
    out = tmp_path / "found" / "export.json"
    options = {"--size": 64, "--calls": 10, "--rounds": 2, "--out": out}
    command = [sys.executable, ROOT / "benchmarks" / "export_latency.py"]
    command += [part for pair in options.items() for part in pair]
    made = run_script(command)
    assert made.returncode == 0, made.stderr
    found = json.loads(out.read_text())
    figures = found["figures"]
    assert figures["engine_params"] == figures["program_params"]
    # the program reads distances by a convolution over 16 bins, the engine by a weighted sum
    points = 8 * 8 + 4 * 4 + 2 * 2
    assert figures["program_macs"] - figures["engine_macs"] == points * 4 * 16
    assert len(found["rounds"]) == 2
    ratios = [seen["program_over_engine"] for seen in found["rounds"]]
    assert figures["program_over_engine"] == pytest.approx(sum(ratios) / 2, abs=1e-4)
    assert all(seen["engine_ms_p50"] > 0 for seen in found["rounds"])
