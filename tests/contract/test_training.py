"""What a training run of every method promises: it can be interrupted at any step, and it teaches the network."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.runs import run_training
from torch import nn

from defectbench.base.files import sha256_file
from defectbench.base.methods import Augmentation, Ema, Optimizer, Schedule
from defectbench.data.letterbox import letterbox
from defectbench.data.pack import load_pack, write_pack
from defectbench.data.synthetic import CLASSES, draw_crops
from defectbench.deploy.predict import predict_pack
from defectbench.measure.evaluator import score
from defectbench.measure.operating_point import pack_truth
from defectbench.measure.validation import TorchEngine
from defectbench.training import loop

SIZE, NEVER = 96, float("inf")
SMALL = 64  # of runs that need not learn, pixels
# Steps over all six images at once. A network that stays heavy needs fewer, and each costs ten times as much.
STEPS, HEAVY_STEPS, FLOOR_MAP50 = 32, 20, 0.5
# queries of a DETR have to settle first which of them learns which box
STEPS_OF = {f"deimv2_{size}": 48 for size in ("atto", "femto", "pico")}
SHORT = {
    "batch": len(CLASSES),
    "optimizer": Optimizer(lr=0.004),
    "schedule": Schedule(warmup_steps=3, per="step"),
    "grad_clip": 10.0,
    "ema": Ema(decay=0.0, tau=1.0),
    "augmentation": Augmentation(),
}


def thinnest_side(crop):
    return min(min(x1 - x0, y1 - y0) for _, x0, y0, x1, y1 in crop.boxes)


def clearest_crops():
    """One image of the embedded set for each class: of the first 60 that with the least thin defects."""
    crops = list(draw_crops(seed=0, images=60))
    for name in CLASSES:
        own = [crop for crop in crops if {box[0] for box in crop.boxes} == {name}]
        yield max(own, key=thinnest_side)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A pack of six images."""
    return write_six(tmp_path_factory.mktemp("six"), SIZE)


@pytest.fixture(scope="module")
def small_pack(tmp_path_factory):
    """The same of fewer pixels."""
    return write_six(tmp_path_factory.mktemp("small"), SMALL)


def write_six(folder, size):
    crops = list(clearest_crops())
    views = [letterbox(crop.pixels[..., None].repeat(3, 2), size) for crop in crops]
    scale = torch.tensor([scale for _, scale, _ in views])
    most = max(len(crop.boxes) for crop in crops)
    boxes, labels = torch.zeros(len(crops), most, 4), torch.full((len(crops), most), -1)
    for row, crop in enumerate(crops):
        for column, (name, *corners) in enumerate(crop.boxes):
            boxes[row, column] = torch.tensor(corners) * scale[row]
            labels[row, column] = CLASSES.index(name)
    tensors = {
        "images": torch.from_numpy(np.stack([view for view, _, _ in views])).permute(0, 3, 1, 2),
        "boxes": boxes,
        "labels": labels,
        "image_ids": torch.arange(len(crops)) + 1,
        "scale": scale,
        "pad": torch.zeros(len(crops), 2),
        "original_size": torch.tensor([crop.pixels.shape for crop in crops]),
    }
    path = folder / f"train@{size}.safetensors"
    metadata = {"classes": json.dumps(CLASSES), "protocol": "random", "part": "train"}
    write_pack(path, {name: value.contiguous() for name, value in tensors.items()}, metadata)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder that is emptied at the end: checkpoints of heavy networks are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


class KilledError(Exception):
    """Ends a run as a signal would."""


class Steps:
    """Stands for the engine's step: notes the number of each one, and ends the run before number ``last``."""

    def __init__(self, monkeypatch, last=None):
        self.taken, self.last, self.step = [], last, loop.train_step
        monkeypatch.setattr(loop, "train_step", self)

    def __call__(self, run, *args):
        if run.progress.step == self.last:
            raise KilledError
        self.taken.append(run.progress.step)
        return self.step(run, *args)


def stages_of(method):
    """Runs that make a cell: a method with a rule for its teacher trains that first."""
    name = method.card.name
    distilled = f"train_{name}_teacher" in (method.folder / "method.smk").read_text()
    return ("teacher", "student") if distilled else ("alone",)


def lasting(recipe):
    """The recipe for a run of two epochs: its average reaches back over all steps, and only the last epoch is closing."""
    ema = Ema(decay=0.9, tau=2.0, short_run_share=0.0)
    augmentation = recipe.augmentation.model_copy(update={"close_epochs": 1})
    return recipe.model_copy(update={"ema": ema, "augmentation": augmentation})


def test_an_interrupted_run_ends_in_the_same_bits(slender, small_pack, folder, monkeypatch):
    method = replace(slender, recipe=lasting(slender.recipe))
    budget = {"epochs": 2, "batch": 3, "threads": 1, "teacher": None}
    for seed, stage in enumerate(stages_of(method)):
        whole, broken = folder / stage / "whole", folder / stage / "broken"
        run_training(small_pack, method, whole, seed, checkpoint_s=NEVER, **budget)
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            Steps(patch, last=1)
            run_training(small_pack, method, broken, seed, checkpoint_s=0.0, **budget)
        assert not (broken / "weights.safetensors").exists()
        with monkeypatch.context() as patch:
            resumed = Steps(patch)
            run_training(small_pack, method, broken, seed, checkpoint_s=NEVER, **budget)
        assert resumed.taken == [1, 2, 3]
        weights, again = (run / "weights.safetensors" for run in (whole, broken))
        assert sha256_file(again) == sha256_file(weights)
        budget["teacher"] = weights


def settled(detector, images):
    """A copy whose batch norms hold the moments of the images: in so few steps they hardly leave their start."""
    detector = copy.deepcopy(detector).train()
    for module in detector.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        detector(images)
    return detector.eval()


def test_learns_one_image_of_each_class(method, slender, pack, folder):
    six = load_pack(pack)
    scores = []

    def validator(detector):
        deployed = settled(detector, six.images / 255).deploy()
        engine = TorchEngine(deployed, six.classes, SIZE, detector.suppression)
        results = predict_pack(engine, six, pack)
        scores.append(score(pack_truth(six), [row for rows in results for row in rows]).map50)
        return scores[-1]

    steps = HEAVY_STEPS if method.card.heavy and slender is method else STEPS
    steps = STEPS_OF.get(method.card.name, steps)
    changes = SHORT | {"epochs": steps, "validate_every": steps}
    short = replace(slender, recipe=slender.recipe.model_copy(update=changes))
    run_training(pack, short, folder, validator=validator, checkpoint_s=NEVER)
    assert scores[-1] >= FLOOR_MAP50
