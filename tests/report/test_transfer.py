"""From published weights beside from scratch: which rows are paired, what the gain is, and what figures show."""

import json
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from tests.report.shelf import Shelf

from defectbench.report.figures.transfer import curves_of, transfer_figure
from defectbench.report.records.starts import differing_fields, is_plain, trained_as
from defectbench.report.records.study import read_study
from defectbench.report.table import Picture, Table
from defectbench.report.topics.detection import compared
from defectbench.report.topics.leakage import leakage_premiums
from defectbench.report.topics.transfer import parts
from defectbench.report.writers.csv import csv_text


@pytest.fixture
def started(tmp_path):
    """Two methods from both starts; one also on a tenth of the pictures and for other epochs."""
    made = Shelf(tmp_path, images=8)
    truth = made.oracle()
    half = made.oracle(images={1, 2, 4, 6})
    made.split("clean")
    made.split("clean-10pct", train=7)
    (tmp_path / "models").mkdir()
    made.method("alpha", map50=0.4, results=half)
    made.method("alpha+from_coco", map50=0.8, results=truth)
    made.method("alpha+3epochs", map50=0.2, results=half, trained={"epochs": 3})
    made.method("alpha+from_coco_3epochs", map50=0.6, results=truth, trained={"epochs": 3})
    made.method("alpha", "clean-10pct", map50=0.1, results=half)
    made.method("alpha+from_coco", "clean-10pct", map50=0.3, results=truth)
    made.method("beta", map50=0.5, results=truth)
    made.method("beta+from_coco", map50=0.5, results=truth, trained={"epochs": 7})
    made.method("gamma+slim2mib", map50=0.5, results=truth)
    return made


def table_of(shelf):
    (table,) = [part for part in parts(study_of(shelf)) if isinstance(part, Table)]
    return table


def study_of(shelf):
    return read_study([shelf.runs], shelf.root / "models")


def test_rows_of_equal_budget_are_paired(started):
    table = table_of(started)
    rows = [row.values for row in table.rows]
    assert [(r["title"], r["protocol"], r["epochs"], r["start"]) for r in rows] == [
        ("alpha", "clean", 3, "COCO"),
        ("alpha", "clean", 30, "COCO"),
        ("alpha", "clean-10pct", 30, "COCO"),
    ]  # beta was trained for other epochs from its weights
    assert [row["gain"] > 0 for row in rows] == [True] * 3
    assert all(row["gain_low"] <= row["gain"] <= row["gain_high"] for row in rows)
    assert rows[1]["scratch"] == pytest.approx(0.2)
    assert rows[1]["started"] == pytest.approx(0.4)
    assert {(row["n_seeds"], row["n_images"]) for row in rows} == {(1, 8)}
    assert csv_text(table).splitlines()[0].startswith("title,dataset,protocol,figure")
    assert any("noise of training is not" in note for note in table.notes)


def edit_training(shelf, method, **changes):
    """Change fields of a record of training; of figures by ``figures``."""
    path = shelf.folder(method) / "train.json"
    record = json.loads(path.read_text())
    record["figures"] |= changes.pop("figures", {})
    path.write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    "other", [{"tiles": {"side_px": 64}}, {"figures": {"batch": 4}}, {"figures": {"size_px": 320}}]
)
def test_rows_of_other_tiles_side_or_batch_are_not_paired(started, other):
    edit_training(started, "alpha+from_coco", **other)
    rows = [row.values for row in table_of(started).rows]
    assert [(r["protocol"], r["epochs"]) for r in rows] == [("clean", 3), ("clean-10pct", 30)]


def test_other_recipes_are_named_beside_the_gain(started):
    whole = {"grad_clip": 35, "optimizer": {"name": "adamw", "lr": 0.01}, "options": {}}
    for method in ("alpha", "alpha+3epochs", "alpha+from_coco_3epochs"):
        edit_training(started, method, recipe=whole)
    gentle = {**whole, "grad_clip": 5, "optimizer": {"name": "adamw", "lr": 0.001}}
    edit_training(started, "alpha+from_coco", recipe=gentle)
    table = table_of(started)
    told = [row.values["other_recipe"] for row in table.rows]
    assert told == ["", "grad_clip, optimizer.lr", ""]
    assert table.columns[-1].heading == "the recipes differ in"
    assert "of start and recipe together" in table.notes[-1]


def test_without_other_recipes_there_is_no_such_column(started):
    assert "differ" not in str([c.heading for c in table_of(started).columns])


def test_a_line_joins_rows_of_one_recipe_side_and_batch(started):
    def lines():
        rows = [
            trained_as(e, "map50_95", {}, started.root / "models")
            for e in study_of(started).entries
            if is_plain(e)
        ]
        made = curves_of(rows, "epochs")
        return [(panel, line[0].start) for panel, some in made.items() for line in some]

    steel = "steel, clean, 70 training images"
    assert lines() == [(steel, None), (steel, "coco")]
    edit_training(started, "alpha+3epochs", recipe={"grad_clip": 5})
    assert lines() == [(steel, "coco")]
    edit_training(started, "alpha+3epochs", recipe={"epochs": 3}, figures={"batch": 4})
    size = table_of(started).rows and "64 px"
    assert lines() == [(f"{steel}, {size}, batch None", "coco")]


def test_a_loss_is_told_as_one(started):
    started.rescore(started.folder("alpha"), started.oracle())
    started.rescore(started.folder("alpha+from_coco"), started.oracle(images={1}))
    table = table_of(started)
    row = table.rows[1].values
    assert row["gain"] < 0
    assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert row["verdict"] in ("from scratch is better", "not distinguishable")


def test_a_study_without_such_starts_has_none_of_it(filled):
    assert list(parts(read_study([filled.runs], filled.root / "models"))) == []


def test_figures_show_lines_that_grow_in_one_thing(started):
    pictures, epochs = [p for p in parts(study_of(started)) if isinstance(p, Picture)]
    assert (pictures.name, epochs.name) == ("transfer_pictures", "transfer_epochs")
    figure = epochs.draw()
    assert figure is not None
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "steel, clean, 70 training images"
    assert axis.get_xlabel() == "epochs"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["alpha, from scratch", "alpha, from COCO"]


def test_a_panel_has_a_line_of_each_start_in_order(started):
    study = study_of(started)
    rows = [
        trained_as(e, "map50_95", {}, started.root / "models") for e in study.entries if is_plain(e)
    ]
    assert {row.share for row in rows} == {10, 100}
    by_epochs = curves_of(rows, "epochs")
    assert [*by_epochs] == ["steel, clean, 70 training images"]
    lines = by_epochs["steel, clean, 70 training images"]
    assert [(line[0].start, [one.epochs for one in line]) for line in lines] == [
        (None, [3, 30]),
        ("coco", [3, 30]),
    ]
    assert curves_of([row for row in rows if row.start is None], "epochs") == {}
    assert len(transfer_figure(by_epochs, "epochs", "score").axes) == 1


def test_shares_of_a_training_part_are_tables_of_their_own_over_all_seeds(tmp_path):
    shelf = Shelf(tmp_path, images=8)
    truth, half = shelf.oracle(), shelf.oracle(images={1, 2, 4, 6})
    (tmp_path / "models").mkdir()
    for protocol in ("clean", "clean-10pct", "random", "random-10pct"):
        shelf.split(protocol, train=7)
        for method, results in (("alpha", truth), ("beta", half)):
            for seed in (0, 1):
                shelf.method(method, protocol, seed=seed, results=results)
    study = study_of(shelf)
    rows, _ = compared(study)
    places = [(row.protocol, row.method, row.n_seeds) for row in rows]
    shares = ("clean", "clean-10pct", "random", "random-10pct")
    assert sorted(places) == sorted((p, m, 2) for p in shares for m in ("alpha", "beta"))
    assert [p for p, _ in groupby(row.protocol for row in rows)] == list(shares)
    premiums = {(p.protocol, p.method) for p in leakage_premiums(rows)}
    assert premiums == {(p, m) for p in ("random", "random-10pct") for m in ("alpha", "beta")}


def test_what_programs_say_of_start_and_epochs_is_no_difference_of_recipes():
    recipes = ({"pretrained": False, "patience": 1, "lr0": 1}, {"patience": 3, "lr0": 1})
    entries: list[Any] = [
        SimpleNamespace(first=SimpleNamespace(train={"recipe": r})) for r in recipes
    ]
    assert differing_fields(*entries) == []
