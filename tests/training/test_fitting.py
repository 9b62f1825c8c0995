"""What is fitted in one look: its records, the weights that it starts from, and what it refuses to look at."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from defectbench.base.errors import ConfigError, LeakageError, PackError
from defectbench.base.files import sha256_file
from defectbench.base.methods import build_network, load_method, override_recipe
from defectbench.base.records import read_record, write_record
from defectbench.deploy.export_run import export_run
from defectbench.deploy.runtime import AnomalyModel, open_artifact
from defectbench.measure.operating_point import choose_operating_point
from defectbench.measure.validation import make_validator
from defectbench.training.fitting import fit
from tests.free_packs import write_free_pack
from tests.runs import split_fields

MODELS = Path(__file__).parents[2] / "models"
SMALL = {"options.bank": 30, "options.candidates": 300}


@pytest.fixture(scope="module")
def method():
    return load_method("patchcore_mobilenetv2", MODELS)


def run(pack, method, out, validator=None, **fields):
    settings, sources = split_fields(pack, {"recipe": SMALL, **fields})
    fit(method, settings, sources, out, validator)
    return read_record(out / "train.json", "train")


def test_a_fit_leaves_what_a_training_leaves(method, tmp_path):
    pack = write_free_pack(tmp_path / "train.safetensors", free=8)
    val = write_free_pack(tmp_path / "val.safetensors", free=4, defective=4, seed=1, part="val")
    validator = make_validator(val, task="anomaly")
    record = run(pack, method, tmp_path / "cell", validator)
    figures = record["figures"]
    assert (figures["epochs"], figures["train_images"], figures["size_px"]) == (1, 8, 64)
    assert figures["val_auroc"] == figures["val_auroc_last"] == 1.0
    assert record["fit"]["bank_vectors"] == 30
    assert record["fitted_to"] == {"part": "train", "image_ids": [1, 2, 3, 4, 5, 6, 7, 8]}
    assert record["inputs"]["pack"]["sha256"] == sha256_file(pack)
    assert "start" not in record
    head, row = (tmp_path / "cell" / "history.csv").read_text().splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["val_auroc"] == "1.0"
    info = export_run(tmp_path / "cell", method)
    assert (info.task, info.size, info.classes) == ("anomaly", 64, ["square"])
    assert isinstance(open_artifact(tmp_path / "cell" / "model.onnx"), AnomalyModel)


def test_equal_seeds_end_in_equal_files(method, tmp_path):
    pack = write_free_pack(tmp_path / "train.safetensors")
    first, again, other = (
        run(pack, method, tmp_path / str(n), seed=seed)["weights_sha256"]
        for n, seed in enumerate((3, 3, 4))
    )
    assert first == again != other


def test_published_weights_are_taken_as_they_are(method, tmp_path):
    network = build_network(method, 1, method.recipe.options)
    state = {k: v + 0.01 for k, v in network.state_dict().items() if v.is_floating_point()}
    state.pop("bank")
    folder = tmp_path / "published"
    folder.mkdir()
    save_file(state, folder / "weights.safetensors")
    said = {"method": method.card.name, "name": "imagenet", "data": "d", "licence": "l"}
    said |= {"form": "training", "class_channels": {}}
    said["weights_sha256"] = sha256_file(folder / "weights.safetensors")
    write_record(folder / "published.json", "published", {}, {}, 0, said)
    pack = write_free_pack(tmp_path / "train.safetensors")
    record = run(pack, method, tmp_path / "cell", start=folder / "weights.safetensors")
    assert record["start"]["name"] == "imagenet"
    assert "bank" in record["start"]["fresh"]
    from safetensors.torch import load_file

    kept = load_file(tmp_path / "cell" / "weights.safetensors")
    name = "features.0.1.running_mean"
    assert kept[name].equal(state[name])


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({"part": "test"}, r"part: got 'test'.*training part"),
        ({"part": "val"}, r"part: got 'val'.*training part"),
        ({"defective": 1}, "a defect in image 9"),
        ({"shared_pixels": "7"}, "shared_pixels: got '7'"),
    ],
)
def test_a_bank_of_other_images_is_refused(method, tmp_path, metadata, word):
    pack = write_free_pack(tmp_path / "pack.safetensors", **metadata)
    with pytest.raises(LeakageError, match=word):
        run(pack, method, tmp_path / "cell")
    assert not (tmp_path / "cell" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"epochs": 3}, "epochs: got 3.*once"),
        ({"teacher": "t"}, "teacher.*leave it out"),
        ({"start": "s"}, "start.*leave it out"),
        ({"recipe": {"optimizer": {"name": "sgd", "lr": 0.1}}}, "no optimizer"),
        ({"recipe": {"options.layers": [99]}}, "refuses it"),
    ],
)
def test_what_one_look_has_no_use_for_is_refused(method, tmp_path, fields, word):
    pack = write_free_pack(tmp_path / "train.safetensors")
    with pytest.raises(ConfigError, match=word):
        run(pack, method, tmp_path / "cell", **fields)


def test_a_method_that_trains_still_needs_an_optimizer(tmp_path):
    from defectbench.base.methods import refuse_no_training

    mobilenet = load_method("mobilenetv2", MODELS)
    without = override_recipe(mobilenet.recipe, {"optimizer": None})
    with pytest.raises(ConfigError, match="the engine needs one"):
        refuse_no_training(without, mobilenet.card, "study")


def test_validation_without_an_image_that_a_threshold_needs_is_refused(tmp_path):
    val = write_free_pack(tmp_path / "val.safetensors", part="val", free=0, defective=4)
    with pytest.raises(PackError, match=r"images: got '4 of 4 with a defect'.*list some in val"):
        make_validator(val, task="anomaly")


def test_validation_without_a_defect_sets_the_threshold_and_scores_nothing(method, tmp_path):
    """As of publishers who keep all defective images for the test."""
    pack = write_free_pack(tmp_path / "train.safetensors")
    val = write_free_pack(tmp_path / "val.safetensors", part="val", free=20, seed=1)
    cell = tmp_path / "cell"
    record = run(pack, method, cell, make_validator(val, task="anomaly"))
    assert record["figures"]["val_auroc"] is None
    export_run(cell, method)
    figures = choose_operating_point(cell / "model.onnx", val, cell / "point.json")["figures"]
    assert figures["threshold"] > 0
    assert figures["val_auroc"] is None
    assert (figures["n_defect_free_images"], figures["n_defective_images"]) == (20, 0)
    assert figures["on_validation"]["escape_rate_images"] is None


def test_a_card_says_fitted_for_the_engine_alone():
    from defectbench.base.methods import MethodCard

    content = json.loads(load_method("mobilenetv2", MODELS).card.model_dump_json())
    with pytest.raises(ValueError, match="fitted"):
        MethodCard.model_validate({**content, "fitted": True})
