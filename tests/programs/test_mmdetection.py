"""Our side of mmdetection, and those parts of the inside that need nothing of it."""

import importlib.util
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from defectbench.base.errors import ArtifactError, ConfigError
from defectbench.base.methods import Recipe, Schedule, load_card, load_recipe, override_recipe
from defectbench.data.pack import load_pack, pack
from defectbench.deploy import export
from defectbench.deploy.artifact import validate_artifact
from defectbench.deploy.free_batch import PRIMES
from defectbench.deploy.runtime import OnnxDetector
from defectbench.training.optimizer import learning_rate

from ..deploy.tiny_module import PROVENANCE, TinyDeployed

ROOT = Path(__file__).parents[2]
INSIDE = ROOT / "workflow" / "programs" / "mmdetection"
METHODS = sorted(path.parent for path in (ROOT / "models").glob("*/network.yaml"))


def inside(name):
    """A module that runs inside mmdetection's environment and does without it."""
    spec = importlib.util.spec_from_file_location(f"inside_{name}", INSIDE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def program(programs):
    return programs("train_mmdetection")


def sampled_slowly(features, offsets):
    """Bilinear values one by one, from the formula of the deformable convolution."""
    height, width = features.shape[2:]
    out = np.zeros(features.shape)
    for n, c, i, j in np.ndindex(out.shape):
        y, x = i + offsets[n, 2 * c, i, j], j + offsets[n, 2 * c + 1, i, j]
        for p in (int(np.floor(y)), int(np.floor(y)) + 1):
            for q in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= p < height and 0 <= q < width:
                    share = (1 - abs(y - p)) * (1 - abs(x - q))
                    out[n, c, i, j] += share * features[n, c, p, q]
    return out


@pytest.mark.parametrize("shape", [(2, 4, 5, 7), (1, 4, 1, 1), (3, 2, 1, 6), (1, 3, 4, 4)])
@pytest.mark.parametrize("reach", [0.4, 3.0])
def test_sampling_is_that_of_the_formula(shape, reach):
    count, channels, height, width = shape
    rng = np.random.default_rng(0)
    features = rng.normal(size=shape)
    offsets = rng.normal(size=(count, 2 * channels, height, width)) * reach
    found = inside("operators").sample(torch.tensor(features), torch.tensor(offsets))
    np.testing.assert_allclose(found.numpy(), sampled_slowly(features, offsets), atol=1e-12)


def test_only_the_sampling_of_single_channels_is_taken_for_a_deformable_convolution():
    operators = inside("operators")
    features, offsets = torch.rand(1, 4, 3, 3), torch.zeros(1, 8, 3, 3)
    same = operators.deformed(features, offsets, torch.ones(4, 1, 1, 1), 1, 0, 1, 4, 4)
    torch.testing.assert_close(same, features)
    with pytest.raises(RuntimeError, match="single channels"):
        operators.deformed(features, offsets, torch.ones(4, 1, 3, 3))


def test_what_is_missing_says_so_when_it_is_called():
    library = inside("operators").Missing("mmcv._ext")
    call = library.roi_align_forward
    with pytest.raises(RuntimeError, match="roi_align_forward"):
        call(1, 2)
    assert not hasattr(library, "__path__")


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize(
    "warmup", [{}, {"warmup_steps": 3}, {"warmup_steps": 500}, {"warmup_epochs": 0.5}]
)
def test_rates_are_those_of_the_engine(kind, per, warmup):
    schedule = Schedule(warmup_ratio=0.1, kind=kind, min_lr_ratio=0.05, per=per, **warmup)
    for step in range(60):
        mine = inside("history").rate(schedule.model_dump(), 0.02, step, 6, 10)
        assert mine == learning_rate(schedule, 0.02, step, 6, 10)


def test_rows_are_read_as_they_were_written(tmp_path):
    history = inside("history")
    path = tmp_path / "history.jsonl"
    assert history.read_rows(path) == []
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_map50": 0.1}]
    history.write_rows(path, rows)
    assert history.read_rows(path) == rows
    assert [p.name for p in tmp_path.iterdir()] == ["history.jsonl"]


def test_program_sees_the_pixels_and_boxes_of_the_pack(dataset, tmp_path, program):
    pack(dataset, "clean", "val", 96, tmp_path / "val.safetensors")
    part = load_pack(tmp_path / "val.safetensors")
    program.write_part(part, "val", tmp_path / "data")
    content = json.loads((tmp_path / "data" / "val.json").read_text())
    assert [c["name"] for c in content["categories"]] == part.classes
    assert len(content["annotations"]) == 4
    for row, image in enumerate(content["images"]):
        pixels = cv2.imread(str(tmp_path / "data" / "val" / image["file_name"]))
        seen = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
        np.testing.assert_array_equal(seen, part.images[row].numpy())
        (box,) = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        x, y, w, h = box["bbox"]
        np.testing.assert_allclose([x, y, x + w, y + h], part.boxes[row, 0].numpy(), rtol=1e-6)
        assert box["category_id"] == part.labels[row, 0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("augmentation.mosaic", 1.0),
        ("augmentation.scale", [0.5, 1.5]),
        ("options", {"depth": 50}),
        ("optimizer", None),
    ],
)
def test_a_recipe_that_the_program_cannot_follow_is_refused(field, value, program):
    recipe = override_recipe(Recipe(optimizer={"lr": 0.01}), {field: value})
    with pytest.raises(ConfigError, match=field):
        program.supported(recipe, Path("recipe.yaml"))


@pytest.mark.parametrize(
    ("asked", "size", "able", "expected"),
    [
        ("auto", 96, True, "bfloat16"),
        ("auto", 96, False, "float32"),
        ("auto", 64, True, "float32"),
        ("bfloat16", 96, False, "bfloat16"),
        ("float32", 64, True, "float32"),
        ("bfloat16", 64, True, None),
    ],
)
def test_precision_is_settled_for_the_device_and_the_size(
    asked, size, able, expected, program, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    args = SimpleNamespace(size=size, device="cpu", method=Path("tood_r50"))
    recipe = Recipe(precision=asked)
    if expected is None:
        with pytest.raises(ConfigError, match="over 64 px"):
            program.with_precision(recipe, args)
    else:
        assert program.with_precision(recipe, args).precision == expected


@pytest.mark.parametrize("folder", METHODS, ids=lambda path: path.name)
def test_recipes_of_methods_can_be_followed_and_their_cards_say_heavy(folder, program):
    assert program.supported(load_recipe(folder), folder)
    card = load_card(folder)
    assert card.heavy
    assert card.family == "program"
    assert "train_by_mmdetection" in (folder / "method.smk").read_text()
    assert any("from scratch" in line for line in card.reconstructed)


def test_other_settings_start_anew_and_the_same_ones_continue(tmp_path, program):
    told = {"history": str(tmp_path / "h.jsonl"), "weights": str(tmp_path / "w.pth"), "size": 64}
    program.start_anew_if_told_otherwise(tmp_path, told)
    kept = [tmp_path / "run" / "epoch_1.pth", tmp_path / "h.jsonl", tmp_path / "w.pth"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("begun")
    program.start_anew_if_told_otherwise(tmp_path, told)
    assert all(path.is_file() for path in kept)
    program.start_anew_if_told_otherwise(tmp_path, {**told, "size": 96})
    assert not any(path.exists() for path in kept)


def test_checkpoint_that_a_kill_cut_short_is_not_taken(tmp_path, program):
    assert program.sound_checkpoint(tmp_path) is None
    for epoch in (9, 10):
        with zipfile.ZipFile(tmp_path / f"epoch_{epoch}.pth", "w") as archive:
            archive.writestr("data", b"0" * 5000)
    assert program.sound_checkpoint(tmp_path) == tmp_path / "epoch_10.pth"
    whole = (tmp_path / "epoch_10.pth").read_bytes()
    (tmp_path / "epoch_10.pth").write_bytes(whole[:3000])
    assert program.sound_checkpoint(tmp_path) == tmp_path / "epoch_9.pth"


@pytest.mark.parametrize("changed", [None, "boxes", "scores"])
def test_an_export_that_differs_from_the_framework_is_refused(changed, tmp_path, program):
    from defectbench.deploy.export import export_onnx

    export_onnx(TinyDeployed(), 32, tmp_path / "model.onnx", ["a", "b"], PROVENANCE)
    images = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    known = dict(
        zip(("boxes", "scores"), OnnxDetector(tmp_path / "model.onnx")(images), strict=True)
    )
    if changed:
        known[changed][2, -1, -1] += 0.01
    np.savez(tmp_path / "outputs.npz", images=images, **known)
    if changed is None:
        program.compare(tmp_path / "model.onnx", tmp_path / "outputs.npz")
    else:
        with pytest.raises(ArtifactError, match=changed):
            program.compare(tmp_path / "model.onnx", tmp_path / "outputs.npz")


class Counted(TinyDeployed):
    """Bears the number of images in a constant for each of them."""

    def forward(self, images):
        boxes, scores = super().forward(images)
        return boxes + torch.zeros(images.shape[0], 64, 4), scores


@pytest.mark.parametrize(("network", "again"), [(TinyDeployed(), 0), (Counted(), 1)])
def test_an_export_that_is_bound_to_its_number_of_images_is_made_again_for_any(
    network, again, tmp_path, program, monkeypatch
):
    source, asked = tmp_path / "exported.onnx", []

    def exported(images, dynamic_shapes):
        export._traced(network, 32, source, source, "detection", images, dynamic_shapes)

    def run_inside(verbs, args, work, settings, traced):
        asked.append((verbs, traced))
        exported(2, ({0: torch.export.Dim("N", min=1, max=4096)},))

    exported(PRIMES[0], None)
    images = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    with torch.inference_mode():
        boxes, scores = (out.numpy() for out in network(torch.from_numpy(images)))
    np.savez(tmp_path / "outputs.npz", images=images, boxes=boxes, scores=scores)
    monkeypatch.setattr(program, "run_inside", run_inside)
    monkeypatch.setattr(program, "provenance", lambda *_: PROVENANCE)
    args = SimpleNamespace(size=32, out=tmp_path / "cell")
    args.out.mkdir()
    settings = {"exported": str(source), "outputs": str(tmp_path / "outputs.npz")}
    program.adapt(args, tmp_path, {**settings, "classes": ["a", "b"]})
    assert asked == [(["export"], ())] * again
    assert validate_artifact(args.out / "model.onnx").classes == ["a", "b"]
    assert not source.exists()


def test_lock_pins_every_name_and_names_no_host():
    folder = ROOT / "workflow" / "envs"
    lock = (folder / "mmdet.lock").read_text()
    assert not re.search(r"://|--|@", lock)
    pins = {line.split("==")[0] for line in lock.splitlines()}
    names = [n for n in (folder / "mmdet.txt").read_text().splitlines() if not n.startswith("#")]
    assert {*names, "mmdet", "mmengine", "mmcv-lite"} <= pins
    assert "opencv-python" not in pins


def test_lock_agrees_with_that_of_the_suite():
    """One torch for training and for exports, so that figures differ by nothing but the framework."""
    ours = set((ROOT / "requirements.lock").read_text().splitlines())
    names = {line.split("==")[0] for line in ours}
    lock = (ROOT / "workflow" / "envs" / "mmdet.lock").read_text().splitlines()
    shared = [line for line in lock if line.split("==")[0] in names and "win32" not in line]
    assert "torch==2.13.0" in shared
    assert [line for line in shared if line not in ours] == []
