"""The spread of cells that are made of others or by a program: which they are, in what study, and what a row says."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest

import cell_spread
from defectbench.base.planning import plan_study
from defectbench.base.records import write_record
from defectbench.base.studies import load_study

ROOT = Path(__file__).parents[2]
STUDY = Path("config") / "demo.yaml"
SLIM = "yolov4_thin+slim2.2mib"


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def plan():
    return plan_study(cell_spread.with_seeds(load_study(STUDY), [3]), STUDY)


def others(plan):
    return {cell.method: cell for cell in plan.trained if cell_spread.is_made_otherwise(plan, cell)}


def test_cells_are_those_that_are_more_than_a_training_of_the_engine(plan):
    names = set(others(plan))
    assert {SLIM, "vgg16+cfppublished", "vgg16+randompublished", "yolov8n_ultralytics"} <= names
    assert not names & {"yolov4_thin", "vgg16", "picodet_s"}


def test_the_study_that_is_made_has_other_seeds_and_nothing_else(monkeypatch, plan):
    seen = []

    def run(command, check):
        told = Path(command[command.index("--configfile") + 1])
        seen.append((plan_study(load_study(told), told), command[command.index("--") + 1 :], check))

    monkeypatch.setattr(cell_spread.subprocess, "run", run)
    cell_spread.make(plan.study, [Path("a/train.json")])
    ((made, asked, check),) = seen
    assert (asked, check) == (["a/train.json"], True)
    assert made.study.study == "demo-seeds"
    assert {cell.seed for cell in made.trained} == {3}
    whole = plan_study(load_study(STUDY), STUDY)
    assert {cell.model_copy(update={"seed": 0}).folder: cell.budget for cell in made.trained} == {
        cell.folder: cell.budget for cell in whole.trained
    }
    cuts, usual = ({n: c.compression for n, c in others(p).items()} for p in (made, whole))
    assert cuts == usual


def test_another_cut_or_recipe_is_another_run(plan):
    cell = others(plan)[SLIM]
    smaller = cell.compression.model_copy(update={"target_mib": 1.1})
    longer = cell.budget.model_copy(update={"epochs": 99})
    cells = [
        cell,
        *(cell.model_copy(update=u) for u in ({"compression": smaller}, {"budget": longer})),
    ]
    assert len({cell_spread.row_of(plan, one)["recipe_sha256"] for one in cells}) == 3
    elsewhere = cell.model_copy(update={"seed": 4})
    rows = [cell_spread.row_of(plan, one) for one in (cell, elsewhere)]
    assert rows[0] | {"seed": 4} == rows[1]


def test_a_row_is_what_the_record_says_and_is_written_once(monkeypatch, tmp_path, plan):
    cell = others(plan)[SLIM]
    train = tmp_path / "runs" / cell.folder / "train.json"
    train.parent.mkdir(parents=True)
    figures = {"size_px": 96, "epochs": 5, "batch": 8, "val_map50_95": 0.11879, "train_s": 98.48}
    write_record(train, "train", figures, {})
    record = json.loads(train.read_text())
    kind = "vendor_id AuthenticAMD, cpu family 25, model 17, avx2, avx512f"
    record["hardware"] |= {"cpu": "P", "cpu_kind": kind}
    train.write_text(json.dumps(record))
    out = tmp_path / "cells.csv"
    asked = ["--seeds", "3", "--methods", SLIM, "--runs", str(tmp_path / "runs"), "--out", str(out)]
    # seed 4 does not lie there
    asked.insert(2, "4")
    monkeypatch.setattr(sys, "argv", ["cell_spread", str(STUDY), *asked])
    for _ in range(2):
        cell_spread.main()
    with out.open(newline="") as handle:
        (row,) = csv.DictReader(handle)
    digest = cell_spread.row_of(plan, cell)["recipe_sha256"]
    assert row == {
        "method": SLIM,
        "task": "detection",
        "seed": "3",
        "recipe_sha256": digest,
        "size_px": "96",
        "epochs": "5",
        "batch": "8",
        "val_score": "0.1188",
        "processor": "P (25/17, avx512f)",
    }


def test_cells_whose_row_of_this_processor_is_held_are_not_made(monkeypatch, tmp_path, plan):
    out = tmp_path / "cells.csv"
    row = cell_spread.row_of(plan, others(plan)[SLIM])
    held = row | {"val_score": 0.1, "processor": cell_spread.processor()}
    with out.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(held))
        writer.writeheader()
        writer.writerow(held)
    asked = ["--seeds", "3", "4", "--methods", SLIM, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["cell_spread", str(STUDY), *asked])
    made = []
    monkeypatch.setattr(cell_spread, "make", lambda _, trains: made.extend(trains))
    cell_spread.main()
    assert [path.parent.name for path in made] == ["seed4"]


def test_a_folder_without_any_of_the_cells_is_named(monkeypatch, tmp_path):
    asked = ["--seeds", "3", "--runs", str(tmp_path), "--out", str(tmp_path / "cells.csv")]
    monkeypatch.setattr(sys, "argv", ["cell_spread", str(STUDY), *asked])
    with pytest.raises(SystemExit, match=r"none of \d+ cells lies there"):
        cell_spread.main()


def test_a_method_that_has_no_such_cell_is_named(monkeypatch, tmp_path):
    asked = ["--methods", SLIM, "picodet_s", "--out", str(tmp_path / "cells.csv")]
    monkeypatch.setattr(sys, "argv", ["cell_spread", str(STUDY), *asked])
    with pytest.raises(SystemExit, match=rf"of picodet_s; it makes .*{re.escape(SLIM)}"):
        cell_spread.main()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            "method,task,seed,moved,recipe_sha256,processor",
            "has the columns method, task, seed, mo",
        ),
        ("method,seed", "has no column recipe_sha256, processor"),
    ],
)
def test_rows_are_not_appended_to_a_table_of_other_columns(header, words, tmp_path):
    table = tmp_path / "other.csv"
    table.write_text(f"{header}\n")
    row = {"method": "a", "seed": 0, "recipe_sha256": "f", "processor": "P"}
    with pytest.raises(SystemExit, match=words):
        cell_spread.make_lacking(table, cell_spread.KEYS, [(row, dict)])
    assert table.read_text() == f"{header}\n"
