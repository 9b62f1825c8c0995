"""Every method is trained on the embedded set by one of two studies, and their report's check holds it to a floor."""

from pathlib import Path

import pytest

from defectbench.base.cards import dataset_tasks
from defectbench.base.catalogue import load_catalogue
from defectbench.base.compressions import JOINT
from defectbench.base.studies import expand_cells, load_study
from gate import cells as gate_cells
from gate import tables
from gate.floors import Floor, read_floors

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT / "models")
HEAVY = CATALOGUE.heavy
SHELF = ROOT / "datasets"
ALL = [name for name in CATALOGUE.names if CATALOGUE.tasks[name] == "detection"]
LIGHT = sorted(set(ALL) - set(HEAVY))


def cells_of(study, task="detection"):
    """Cells of the methods of a task of a study file in config/, by method."""
    path = ROOT / "config" / study
    found = load_study(path)
    sets = dataset_tasks({name for block in found.blocks for name in block.datasets}, SHELF)
    tasks, rates = {**CATALOGUE.tasks, **sets}, CATALOGUE.rates
    known = (CATALOGUE.names, path, HEAVY, tasks, CATALOGUE.prunable, rates)
    cells = [c for c in expand_cells(found, *known) if sets[c.dataset] == task]
    return {cell.method: cell for cell in cells if not cell.is_control}


@pytest.mark.parametrize(
    ("study", "methods", "size"), [("demo.yaml", LIGHT, 96), ("demo-heavy.yaml", HEAVY, 128)]
)
def test_each_method_learns_the_embedded_set_within_a_stated_budget(study, methods, size):
    cells = cells_of(study)
    assert sorted(name for name in cells if JOINT not in name) == methods
    for cell in cells.values():
        assert (cell.dataset, cell.protocol) == ("demo-steel", "clean")
        assert cell.budget.epochs
        assert cell.budget.batch
        assert cell.budget.size == size


def cost(cell):
    """Multiply-adds of a training at one pass an image and epoch, in millions at 128 px."""
    size, macs = next(iter(CATALOGUE.cards[cell.method.partition(JOINT)[0]].golden.macs_m.items()))
    return cell.budget.epochs * macs * (cell.budget.size / size) ** 2


def test_the_heavy_budget_is_the_larger_one():
    light, heavy = (cells_of(study).values() for study in ("demo.yaml", "demo-heavy.yaml"))
    assert min(map(cost, heavy)) > 2 * max(map(cost, light))
    assert all(cell.budget.epochs >= 20 for cell in heavy)


def test_light_budgets_are_steps_enough_to_leave_the_warm_up_in_float32():
    for cell in cells_of("demo.yaml").values():
        budget, recipe = cell.budget, cell.budget.recipe or {}
        # a warm-up is at most a tenth of a run; whether a method learns in its steps, its floor says (.ci/floors.csv)
        assert budget.epochs * 254 / budget.batch >= 90, cell.method
        assert "precision" not in str(recipe), cell.method


def test_classification_and_its_compression_are_in_the_default_study():
    cells = cells_of("demo.yaml", "classification")
    assert sorted(cells) == ["vgg16", "vgg16+cfppublished", "vgg16+randompublished"]
    assert {cell.dataset for cell in cells.values()} == {"demo-steel-cls"}


def row(**changes):
    """A row of a comparison table that holds."""
    figures = {"map50": 0.5, "map50_95": 0.3, "map50_low": 0.4, "map50_high": 0.6, "train_s": 60}
    figures |= {"macs_g": 1, "gflops": 2, "fps": 100, "params_m": 1, "size_mib": 4}
    figures |= {"latency_ms_p50": 10, "latency_ms_p90": 11, "latency_ms_p99": 12}
    return {name: str(value) for name, value in (figures | changes).items()}


def test_the_gate_holds_every_trained_cell_of_each_study(monkeypatch):
    monkeypatch.chdir(ROOT)
    light = {cell.method for cell in gate_cells.cells_of("config/demo.yaml")}
    classes = set(cells_of("demo.yaml", "classification"))
    assert light == {*LIGHT, "yolov4_thin+slim2.2mib", *classes}
    floors = set(read_floors(ROOT / ".ci" / "floors.csv"))
    assert floors <= light, "a floor of a method that the study does not train"
    heavy = [cell.method for cell in gate_cells.cells_of("config/demo-heavy.yaml")]
    assert sorted(heavy) == HEAVY


@pytest.mark.parametrize("name", ALL)
def test_a_method_that_scores_no_more_than_twice_the_class_prior_is_named(name):
    prior = row(method="control_class_prior", map50=0.01, map50_95=0.002)
    measured = Floor(name, "detection", 5, 0.4, 0.05, 0.05, 0.2)
    tables.check_method(row(method=name))
    tables.check_score(row(method=name), prior, measured)
    with pytest.raises(AssertionError, match=f"{name}: map50 0.02"):
        tables.check_score(row(method=name, map50=0.02), prior, measured)
    with pytest.raises(AssertionError, match=f"{name}: map50_95 0.09"):
        tables.check_score(row(method=name, map50_95=0.09), prior, measured)


STAGES = ("base", "sparse", "channels", "pruned", "recovered")


def way(**changes):
    """Rows of a table of compression that hold, by stage."""
    rows = {}
    for number, stage in enumerate(STAGES):
        small = stage in ("pruned", "recovered")
        size = 3 if stage == "channels" else 2 if small else 4
        rows[stage] = {
            "method": "a+small",
            "stage": stage,
            "score": 0.1 if stage == "pruned" else 0.5,
            "score_name": "map50",
        }
        rows[stage] |= {"stored_mib": size, "factor": 4 / size}
        rows[stage] |= {"macs_g": 0.1 if small else 0.2, "epochs": (1, 2, 2, 2, 3)[number]}
        rows[stage] |= dict.fromkeys(
            ("ratio_to_base", "ratio_to_base_low", "ratio_to_base_high"), 0.6
        )
    for place, value in changes.items():
        stage, name = place.split("_", 1)
        rows[stage][name] = value
    return rows


def write_way(folder, rows):
    lines = [",".join(rows["base"])]
    lines += [",".join(map(str, row.values())) for row in rows.values()]
    (folder / "compression.csv").write_text("\n".join(lines) + "\n")
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "compression_d_clean.png").touch()
    (folder / "index.html").write_text("Compression")


def test_a_table_of_compression_that_holds_is_let_pass(tmp_path):
    tables.check_compression(tmp_path, [])
    write_way(tmp_path, way())
    tables.check_compression(tmp_path, ["a+small"])
    with pytest.raises(AssertionError, match=r"compression\.csv"):
        tables.check_compression(tmp_path, [])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"recovered_stored_mib": 3}, "a.small: {'base': 4"),
        ({"channels_stored_mib": 2}, "a.small: {'base': 4"),
        ({"recovered_macs_g": 0.3}, "a.small"),
        ({"recovered_factor": 3}, "a.small: 3"),
        ({"recovered_epochs": 1}, "a.small: .1"),
        ({"recovered_ratio_to_base_low": 0.7}, "a.small: .0.7"),
        ({"recovered_score": 0.05}, "a.small"),
    ],
)
def test_a_stage_that_does_not_fit_the_others_is_named(tmp_path, changes, match):
    write_way(tmp_path, way(**changes))
    with pytest.raises(AssertionError, match=match):
        tables.check_compression(tmp_path, ["a+small"])
