"""The table of the spread: which runs a study asks for, and that none is made twice."""

import csv
import sys
from pathlib import Path

import pytest
import torch

import seed_spread
from defectbench.base.methods import load_method

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "config" / "demo.yaml"


def test_the_engines_methods_are_run_as_the_study_has_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = seed_spread.cells_of(STUDY)
    assert cells["vgg16"][1] == "classification"
    assert cells["yolo_fastestv2"][0].budget.size == 96
    assert not [name for name in cells if "+" in name or "control" in name or "ultralytics" in name]


def test_a_run_that_the_table_holds_is_not_made_again(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    made = []

    def run(cell, task, seed, parts, moved):
        row = dict.fromkeys(seed_spread.FIELDS, "x")
        row |= {"method": cell.method, "task": task, "seed": seed, "moved": moved}
        return row, lambda: made.append((cell.method, seed, moved)) or row

    monkeypatch.setattr(seed_spread, "run", run)
    out = tmp_path / "spread.csv"
    asked = ["seed_spread", str(STUDY), "--methods", "vgg16", "--out", str(out), "--seeds"]
    for seeds in (["0"], ["0", "1"], ["1", "--moved", "0", "2"]):
        monkeypatch.setattr(sys, "argv", [*asked, *seeds])
        seed_spread.main()
    assert made == [("vgg16", 0, 0), ("vgg16", 1, 0), ("vgg16", 1, 2)]
    with out.open(newline="") as handle:
        assert [row["seed"] for row in csv.DictReader(handle)] == ["0", "1", "1"]


def test_moved_weights_are_the_drawn_ones_but_for_a_part_in_a_million(monkeypatch):
    method = load_method("lidd_net", ROOT / "models")
    weights = {}
    for number in (0, 1, 1, 2):
        torch.manual_seed(0)
        network = seed_spread.moved_weights(number)(method, 3, {})
        values = torch.cat([weight.detach().flatten() for weight in network.parameters()])
        assert torch.equal(weights.setdefault(number, values), values)
    for number in (1, 2):
        change = weights[number] - weights[0]
        assert 0 < change.abs().max() < 1e-5 * weights[0].abs().max()
    assert not torch.equal(weights[1], weights[2])


def test_another_recipe_or_budget_is_another_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    cell, task = seed_spread.cells_of(STUDY)["yolo_fastestv2"]
    longer = cell.model_copy(update={"budget": cell.budget.model_copy(update={"epochs": 99})})
    rows = [seed_spread.run(c, task, 0, {})[0] for c in (cell, longer)]
    assert rows[0]["recipe_sha256"] != rows[1]["recipe_sha256"]
    assert rows[0]["processor"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (
            "vendor_id AuthenticAMD, cpu family 25, model 17, stepping 1, avx2, avx512f",
            "P (25/17, avx512f)",
        ),
        (
            "vendor_id AuthenticAMD, cpu family 25, model 1, stepping 1, avx, avx2, fma",
            "P (25/1, avx2)",
        ),
        ("CPU implementer 0x41, asimd", "P (asimd)"),
        (None, "P"),
    ],
)
def test_makes_that_go_by_one_name_are_told_apart(monkeypatch, kind, name):
    monkeypatch.setattr(seed_spread, "hardware_card", lambda: {"cpu": "P", "cpu_kind": kind})
    assert seed_spread.processor() == name
