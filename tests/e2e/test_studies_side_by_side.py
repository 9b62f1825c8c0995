"""Studies that are really run one after the other: each keeps its own results, byte for byte."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake
from tests.faults.conftest import Plant

from defectbench.base.files import sha256_file

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "models", "reports")
DATA = Path("results/data/my-steel/clean")
CELL = Path("runs/my-steel/clean/yolo_fastestv2/seed0")

pytestmark = pytest.mark.e2e


def run(folder, name, epochs, split_seed=0, goal="scores"):
    """Train one network on a few plates, and score it; returns the folder of the study's results."""
    block = {
        "datasets": ["my-steel"],
        "methods": ["yolo_fastestv2"],
        "budget": {"size": 64, "batch": 8, "epochs": epochs, "threads": 1},
    }
    study = {"study": name, "blocks": [block], "split_seed": split_seed}
    study["mirrors"] = {"my-steel": "plates"}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    status, said = snakemake(folder, goal, "--configfile", f"{name}.yaml")
    assert status == 0, said
    return folder / "results" / name


def hashes(*folders):
    """SHA-256 of every file in some folders, by path."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: sha256_file(path) for path in files}


def figures(study, record):
    return json.loads((study / CELL / record).read_text(encoding="utf-8"))["figures"]


def test_a_second_and_a_third_study_leave_the_first_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for name in LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    plant = Plant(tmp_path)
    plant.draw(count=20, side=64)
    plant.card()

    first = run(tmp_path, "a", epochs=2)
    kept = hashes(first, tmp_path / DATA / "split0")
    shorter = run(tmp_path, "b", epochs=1)
    kept_too = hashes(shorter)
    trained = Path("results/c") / CELL / "train.json"
    other_parts = run(tmp_path, "c", epochs=2, split_seed=1, goal=trained.as_posix())

    assert hashes(first, tmp_path / DATA / "split0") == kept
    assert hashes(shorter) == kept_too
    whole = [
        {path.relative_to(study) for path in hashes(study / CELL)} for study in (first, shorter)
    ]
    assert whole[0] == whole[1] > {CELL / "accuracy.json", CELL / "model.onnx"}
    studies = (first, shorter, other_parts)
    assert [figures(study, "train.json")["epochs"] for study in studies] == [2, 1, 2]
    assert len({sha256_file(study / CELL / "weights.safetensors") for study in studies}) == 3
    tests = [(tmp_path / DATA / f"split{seed}" / "test.txt").read_text() for seed in (0, 1)]
    assert tests[0] != tests[1]
