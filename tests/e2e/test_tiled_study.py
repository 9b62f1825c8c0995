"""A tiny study in tiles, from a user's images to its table: the whole way, since it is where the parts must agree."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake
from tests.faults.conftest import Plant

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "models", "reports")
TILES = {"side": 128, "overlap": 32, "least_visible": 0.4, "free_share": 0.25}
KEY = "s128-o32-v0.4-f0.25"
STUDY = {
    "study": "tiled",
    "mirrors": {"my-steel": "plates"},
    "blocks": [
        {
            "datasets": ["my-steel"],
            "methods": ["yolo_fastestv2"],
            "controls": ["oracle", "class_prior"],
            "budget": {"tiles": TILES, "size": 32, "epochs": 1, "batch": 32, "threads": 1},
        }
    ],
    "latency": {"processes": 2, "rounds": 1, "block_calls": 1, "warmup": 1, "burst_calls": 0},
}
PARTS = Path("results/data/my-steel/clean/split0")
CELLS = Path("results/tiled/runs/my-steel/clean")

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A working copy in which the study was made."""
    folder = tmp_path_factory.mktemp("tiled")
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    plant = Plant(folder)
    plant.draw(count=20, side=200)
    plant.card()
    (folder / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    status, said = snakemake(folder, "all", "--cores", "2", "--configfile", "mine.yaml")
    assert status == 0, said
    return folder


def record(folder, path):
    return json.loads((folder / path).read_text())


def test_packs_are_of_tiles_and_lists_of_images(checkout):
    packs = sorted(path.name for path in (checkout / PARTS).glob("*.safetensors"))
    assert packs == [f"{part}@32.{KEY}.safetensors" for part in ("test", "train", "val")]
    test = (checkout / PARTS / "test.txt").read_text().split()
    cell = CELLS / "yolo_fastestv2" / "seed0"
    predicted = record(checkout, cell / "predictions.record.json")["figures"]
    assert predicted["n_images"] == len(test)
    assert predicted["n_tiles"] == 4 * len(test)
    accuracy = record(checkout, cell / "accuracy.json")
    assert (accuracy["figures"]["n_images"], accuracy["tiles"]) == (len(test), TILES)
    assert record(checkout, cell / "train.json")["tiles"] == TILES


def test_controls_are_of_whole_images(checkout):
    oracle = record(checkout, CELLS / "control_oracle" / "seed0" / "accuracy.json")
    assert oracle["figures"]["map50_95"] == pytest.approx(1.0)
    assert "tiles" not in oracle


def test_the_table_states_what_an_image_costs(checkout):
    with (checkout / "results/tiled/report/comparison.csv").open(newline="") as handle:
        rows = {row["method"]: row for row in csv.DictReader(handle)}
    method = rows["yolo_fastestv2"]
    assert (method["tile_px"], method["tile_overlap_px"], method["size_px"]) == ("128", "32", "32")
    assert float(method["tiles_per_image"]) == 4
    assert float(method["image_latency_ms_p50"]) > 4 * float(method["latency_ms_p50"])
    assert rows["control_oracle"]["tile_px"] == ""


def test_another_way_of_cutting_makes_other_packs(checkout):
    study = json.loads(json.dumps(STUDY))
    study["blocks"][0]["budget"]["tiles"]["overlap"] = 48
    (checkout / "other.yaml").write_text(yaml.safe_dump(study | {"study": "other"}))
    asked = ("all", "--cores", "2", "--configfile", "other.yaml", "--dry-run")
    status, said = snakemake(checkout, *asked)
    assert status == 0, said
    assert "train@32.s128-o48-v0.4-f0.25.safetensors" in said
    assert "split_dataset" not in said
