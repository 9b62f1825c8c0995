"""The table of methods beside the controls."""

import csv

import pytest
from report_parts import tabulate


def test_a_method_beside_its_controls(filled):
    filled.control("class_prior", 0.2)
    filled.control("label_jitter", 0.8)
    tabulate([filled.runs], filled.out)
    with (filled.out / "controls.csv").open(newline="") as handle:
        lines = {row["title"]: row for row in csv.DictReader(handle)}
    assert set(lines) == {"alpha", "beta_net"}
    assert float(lines["beta_net"]["above_floor"]) == pytest.approx(0.3)
    assert float(lines["beta_net"]["of_ceiling"]) == pytest.approx(0.625)
    assert (
        "| beta_net | steel | clean | 20.0 | +30.0 | 62.5 |"
        in (filled.out / "controls.md").read_text()
    )
