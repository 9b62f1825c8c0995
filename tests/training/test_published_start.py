"""A run that starts from published weights: what it takes, what it says, and that it goes on in the same bits."""

import json

import pytest
import torch
from safetensors.torch import load_file

from defectbench.base.errors import ConfigError, WeightsError
from defectbench.base.files import sha256_file
from defectbench.base.methods import Method, Optimizer, Recipe, load_method
from defectbench.base.records import read_record
from defectbench.training import loop
from defectbench.training.preparation import shown_images
from defectbench.training.start import is_published, read_start, trained_network
from defectbench.weights.fetching import fetch_weights
from tests.runs import prepare_run, run_training
from tests.weights.tiny_method import trained, write_all

from .conftest import write_tiny_pack

TRAINABLE = """
    def loss(self, images, targets, epoch):
        raw = self(images)
        return {"loss": raw.square().mean() + raw[..., 4:].sigmoid().mean()}
"""


@pytest.fixture
def tiny(tmp_path):
    """A method with published weights of three classes, to be trained on two."""
    method = write_all(tmp_path)
    path = method.folder / "tiny.py"
    text = path.read_text().replace("\n\ndef build", f"{TRAINABLE}\n\ndef build")
    path.write_text(text)
    method = load_method("tiny", tmp_path / "models")
    recipe = Recipe(epochs=3, batch=4, size=32, optimizer=Optimizer(lr=0.01))
    fetch_weights(method, "noise", tmp_path / "published", tmp_path)
    return Method(method.card, recipe, method.module, method.folder)


@pytest.fixture
def start(tiny, tmp_path):
    return tmp_path / "published" / "weights.safetensors"


@pytest.fixture
def pack(tmp_path):
    return write_tiny_pack(tmp_path / "train@32.safetensors")


def test_before_its_first_step_a_run_computes_what_was_published(tiny, start, pack, tmp_path):
    run = prepare_run(pack, tiny, tmp_path / "run", start=start)
    images = next(shown_images(run.batches, 5))
    assert images.dtype == torch.float32
    assert images.max() <= 1
    published = trained(tiny).deploy().detector
    with torch.inference_mode():
        ours, theirs = run.average.model.eval()(images), published(images)
    assert (ours[..., :4] - theirs[..., :4]).abs().max() < 5e-3  # 16-bit weights in the file
    assert ours.shape[-1] == theirs.shape[-1] - 1  # classes are two, and fresh


def test_the_record_says_what_was_taken(tiny, start, pack, tmp_path):
    run_training(pack, tiny, tmp_path / "run", start=start)
    record = read_record(tmp_path / "run" / "train.json", "train")
    said = record["start"]
    assert (said["name"], said["data"], said["form"]) == ("noise", "noise", "folded")
    assert said["sha256"] == record["inputs"]["start"]["sha256"] == sha256_file(start)
    assert sorted(said["partly_loaded"]) == ["head.bias", "head.weight"]
    assert sorted(said["left"]) == ["head.bias[4:7]", "head.weight[4:7]"]
    assert said["n_norms_unfolded"] == 2
    assert said["fresh"] == []
    assert "lineage" not in record
    assert not {"start_train_s", "start_epochs"} & set(record["figures"])


def test_a_run_from_that_run_still_says_whose_weights_are_behind_it(tiny, start, pack, tmp_path):
    run_training(pack, tiny, tmp_path / "first", start=start)
    run_training(pack, tiny, tmp_path / "second", start=tmp_path / "first" / "weights.safetensors")
    run_training(pack, tiny, tmp_path / "third", start=tmp_path / "second" / "weights.safetensors")
    first, second, third = (
        read_record(tmp_path / name / "train.json", "train")
        for name in ("first", "second", "third")
    )
    told = {name: first["start"][name] for name in ("name", "data", "licence", "sha256")}
    assert told["licence"] == "Apache-2.0"
    assert second["start"] == third["start"] == told
    assert len(third["lineage"]) == 2


def test_a_mended_conversion_begins_anew(tiny, start, pack, tmp_path, monkeypatch):
    run_training(pack, tiny, tmp_path / "run", start=start)
    monkeypatch.setattr("defectbench.training.preparation.conversion_sha256", lambda: "other")
    run_training(pack, tiny, tmp_path / "run", start=start)
    assert (tmp_path / "run" / "checkpoint.replaced").exists()


def test_a_killed_run_goes_on_in_the_same_bits(tiny, start, pack, tmp_path, monkeypatch):
    run_training(pack, tiny, tmp_path / "whole", start=start)
    made, plain = [], loop.train_step

    def step(run, order, position, epoch):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(position)
        plain(run, order, position, epoch)

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(KeyboardInterrupt):
        run_training(pack, tiny, tmp_path / "cut", start=start, checkpoint_s=0.0)
    monkeypatch.setattr(loop, "train_step", plain)
    run_training(pack, tiny, tmp_path / "cut", start=start)
    whole, cut = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert not (tmp_path / "cut" / "checkpoint.replaced").exists()


def test_another_start_begins_anew(tiny, start, pack, tmp_path):
    run_training(pack, tiny, tmp_path / "run", start=start)
    run_training(pack, tiny, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.replaced").exists()
    assert "start" not in json.loads((tmp_path / "run" / "train.json").read_text())


def test_weights_of_another_method_or_damaged_ones_are_refused(tiny, start, pack, tmp_path):
    record = start.with_name("published.json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "method": "other"}))
    with pytest.raises(ConfigError, match=r"published.json: method: got 'tiny'; .*of other"):
        prepare_run(pack, tiny, tmp_path / "run", start=start)
    record.write_text(json.dumps({**content, "class_channels": {}}))
    with pytest.raises(WeightsError, match=r"tensor head\.\w+: got"):
        prepare_run(pack, tiny, tmp_path / "run", start=start)
    start.write_bytes(b"damaged")
    record.write_text(json.dumps({**content, "weights_sha256": sha256_file(start)}))
    with pytest.raises(ConfigError, match="fetch it again"):
        prepare_run(pack, tiny, tmp_path / "run", start=start)


def test_what_must_be_a_run_is_no_published_file(tiny, start):
    with pytest.raises(ConfigError, match="train from them first"):
        trained_network(read_start(start), tiny, 2)


def test_of_two_records_beside_weights_one_decides_for_all(start, tiny, pack):
    assert is_published(start)
    assert read_start(start).is_published
    run_training(pack, tiny, start.parent, seed=1, start=start)
    assert not is_published(start)
    assert not read_start(start).is_published
