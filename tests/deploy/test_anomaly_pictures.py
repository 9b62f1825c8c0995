"""What was fitted to images without a defect, on a user's own pictures and on packs: verdicts, thresholds, refusals."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.free_packs import write_brightest, write_free_pack

from defectbench.base.errors import ArtifactError, ConfigError, PackError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record, write_record
from defectbench.deploy.artifact import validate_artifact
from defectbench.deploy.pictures import predict_pictures
from defectbench.deploy.predict import predict
from defectbench.measure.operating_point import choose_operating_point

SIDE = 32


@pytest.fixture
def model(tmp_path):
    return write_brightest(tmp_path / "model.onnx", SIDE)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "shift"
    folder.mkdir()
    for name, level in (("dark", 50), ("bright", 250)):
        Image.fromarray(np.full((20, 20, 3), level, np.uint8)).save(folder / f"{name}.png")
    return folder


def rows_of(out):
    with (out / "predictions.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_given_threshold_rejects_what_scores_above(model, pictures, tmp_path):
    out = tmp_path / "out"
    found = predict_pictures(model, pictures, out, 6.0)
    assert (found.read, found.marked, found.rows) == (2, 1, 2)
    by_name = {row["file_name"]: row for row in rows_of(out)}
    assert by_name["bright.png"]["rejected"] == "1"
    assert by_name["dark.png"]["rejected"] == "0"
    assert float(by_name["bright.png"]["anomaly"]) == pytest.approx(2500 / 255, abs=1e-3)
    assert "1 of 2 pictures rejected, scored above 6.000" in " ".join(found.told(out))
    assert [path.name for path in (out / "drawn").iterdir()] == ["bright.png"]


def test_the_operating_point_beside_the_model_is_the_threshold(model, pictures, tmp_path):
    with pytest.raises(ConfigError, match="no usual threshold"):
        predict_pictures(model, pictures, tmp_path / "out")
    write_record(
        model.with_name("operating_point.json"),
        "operating_point",
        {"threshold": 9.9},
        {"model": model},
    )
    assert predict_pictures(model, pictures, tmp_path / "out").marked == 0
    with pytest.raises(ConfigError, match="finite score from 0"):
        predict_pictures(model, pictures, tmp_path / "out", -1.0)


def test_a_pack_is_scored_and_its_threshold_chosen_on_images_without_a_defect(model, tmp_path):
    val = write_free_pack(tmp_path / "val.safetensors", SIDE, 40, 10, part="val")
    record = choose_operating_point(model, val, tmp_path / "operating_point.json")
    figures = record["figures"]
    assert figures["val_auroc"] == 1.0
    assert figures["on_validation"]["n_overkill_base"] == 40
    rows = predict(model, val, tmp_path / "predictions.json")
    free = sorted((row["anomaly"] for row in rows[:40]), reverse=True)
    assert figures["threshold"] == free[2]
    assert rows == json.loads((tmp_path / "predictions.json").read_text())
    said = read_record(tmp_path / "predictions.record.json", "predictions")
    assert said["inputs"]["model"]["sha256"] == sha256_file(model)
    few = write_free_pack(tmp_path / "few.safetensors", SIDE, 19, 10, part="val")
    alone = choose_operating_point(model, few, tmp_path / "few.json")["figures"]
    assert (alone["threshold"], alone["on_validation"]) == (None, None)


def test_scores_below_nothing_and_packs_of_other_tasks_are_refused(model, tmp_path):
    low = write_brightest(tmp_path / "low.onnx", SIDE, offset=20.0)
    pack = write_free_pack(tmp_path / "pack.safetensors", SIDE, 4, 4)
    with pytest.raises(ArtifactError, match="finite number from 0"):
        predict(low, pack, tmp_path / "p.json")
    other = write_free_pack(tmp_path / "other.safetensors", SIDE, 4, 4, task="classification")
    with pytest.raises(PackError, match="task"):
        predict(model, other, tmp_path / "p.json")


def test_the_file_says_its_task_by_its_output(model):
    info = validate_artifact(model)
    assert (info.task, info.size) == ("anomaly", SIDE)
