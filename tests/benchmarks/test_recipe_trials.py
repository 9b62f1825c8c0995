"""Trials of recipes: each way as it is written, at one length, and none made twice."""

import csv
import sys
from pathlib import Path

import pytest
import yaml

import recipe_trials
from defectbench.base.methods import load_method, override_recipe
from seed_spread import FIELDS, cells_of, row_of, start_of

ROOT = Path(__file__).parents[2]
WAYS = yaml.safe_load((ROOT / "benchmarks" / "recipe_ways.yaml").read_text())
TUNING = yaml.safe_load((ROOT / "benchmarks" / "fine_tuning_ways.yaml").read_text())
READINGS = yaml.safe_load((ROOT / "benchmarks" / "lidd_net_readings.yaml").read_text())


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("study", ["neu-det", "demo"])
def test_every_way_fits_every_method_and_leaves_its_augmentation(study):
    for name, (cell, task) in cells_of(Path("config") / f"{study}.yaml").items():
        if task != "detection":
            continue
        own = load_method(name).recipe
        before = override_recipe(own, cell.budget.recipe or {}).augmentation
        for way, changes in WAYS["ways"].items():
            budget = recipe_trials.cell_of(cell, WAYS["length"], changes).budget
            recipe = override_recipe(own, budget.recipe)
            assert (budget.size, budget.epochs, budget.batch) == (96, 10, 32)
            assert (recipe.keep, recipe.augmentation.close_epochs) == ("last", 1)
            assert recipe.augmentation == before.model_copy(update={"close_epochs": 1})
            if way != "own":
                assert f"adamw-{recipe.optimizer.lr}" == way
                assert (recipe.grad_clip, recipe.schedule.warmup_steps) == (None, 0)


def test_ways_of_fine_tuning_are_those_of_short_runs_at_lower_rates():
    assert TUNING["length"] == WAYS["length"]
    assert TUNING["ways"]["own"] == WAYS["ways"]["own"]
    for way, changes in TUNING["ways"].items():
        if way != "own":
            rate = changes["optimizer"]["lr"]
            assert way == f"adamw-{rate}"
            like = WAYS["ways"]["adamw-0.001"]
            assert changes == {**like, "optimizer": {**like["optimizer"], "lr": rate}}


def test_rows_that_start_from_published_weights_are_tried_as_such():
    study = Path("config") / "neu-det-transfer.yaml"
    with pytest.raises(SystemExit, match="name one, --dataset NAME"):
        cells_of(study)
    cells = cells_of(study, "neu-det")
    cell, task = cells["nanodet_m+from_coco_10epochs"]
    assert (cell.dataset, task) == ("neu-det", "detection")
    assert start_of(cell) == Path("results/weights/nanodet_m/coco/weights.safetensors")
    assert start_of(cells["nanodet_m+10epochs"][0]) is None
    rows = [row_of(cells[name][0], task, 0) for name in ("nanodet_m+10epochs", cell.method)]
    assert rows[0]["recipe_sha256"] == rows[1]["recipe_sha256"]
    assert rows[0]["method"] != rows[1]["method"]


def test_readings_are_options_of_the_network():
    method = load_method("lidd_net")
    for changes in READINGS["ways"].values():
        method.module.build(3, **changes.get("options", {}))


def test_a_trial_that_the_table_holds_is_not_made_again_unless_its_way_has_changed(
    monkeypatch, tmp_path
):
    made = []

    def run(cell, task, seed, parts):
        recipe = str(sorted(cell.budget.recipe.items()))
        row = dict.fromkeys(FIELDS, "x") | {
            "method": cell.method,
            "seed": seed,
            "recipe_sha256": recipe,
        }
        return row, lambda: made.append(recipe) or row

    monkeypatch.setattr(recipe_trials, "run", run)
    ways, out = tmp_path / "ways.yaml", tmp_path / "trials.csv"
    asked = ["recipe_trials", "config/demo.yaml", "--methods", "lidd_net", "--out", str(out)]
    for rate, trials in ((0.001, 1), (0.001, 1), (0.002, 2)):
        ways.write_text(yaml.safe_dump({"ways": {"a": {"optimizer.lr": rate}}}))
        monkeypatch.setattr(sys, "argv", [*asked, "--ways", str(ways)])
        recipe_trials.main()
        assert len(made) == trials
    with out.open(newline="") as handle:
        assert [row["way"] for row in csv.DictReader(handle)] == ["a", "a"]
