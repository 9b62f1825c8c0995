"""The deployed script says what the suite scored, with onnxruntime, numpy and PIL alone."""

import ast

import numpy as np
import pytest
import torch
from PIL import Image
from tests.hand_made import write_detector

from defectbench.advice.deployment import (
    SCRIPT,
    check_script,
    choose_threshold,
    write_deployment,
)
from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.base.files import read_json
from defectbench.data.letterbox import letterbox
from defectbench.data.pack import write_pack
from defectbench.deploy.pictures import detect, threshold_of
from defectbench.deploy.runtime import OnnxDetector

SIZE = 32


def pictures(count):
    """Bright plates; every second one has a dark place of 12 pixels."""
    random = np.random.default_rng(3)
    for n in range(count):
        pixels = random.integers(170, 230, (48, 64 + n % 7, 3)).astype(np.uint8)
        if n % 2:
            pixels[20:34, 20:36] = 10
        yield pixels


def make_pack(path, count, defective=lambda n: n % 2):
    images, scales, pads, sizes, labels = [], [], [], [], []
    boxes = np.zeros((count, 1, 4), np.float32)
    for n, pixels in enumerate(pictures(count)):
        square, scale, pad = letterbox(pixels, SIZE)
        images.append(square.transpose(2, 0, 1))
        scales.append(scale)
        pads.append(pad)
        sizes.append(pixels.shape[1::-1])
        labels.append([0 if defective(n) else -1])
        if defective(n):
            boxes[n, 0] = np.array([20, 20, 36, 34]) * scale + np.tile(pad, 2)
    tensors = {
        "images": torch.from_numpy(np.stack(images)),
        "boxes": torch.from_numpy(boxes),
        "labels": torch.tensor(labels),
        "image_ids": torch.arange(count) + 1,
        "scale": torch.tensor(scales, dtype=torch.float32),
        "pad": torch.tensor(pads, dtype=torch.float32),
        "original_size": torch.tensor(sizes),
    }
    write_pack(path, tensors, {"classes": '["pit", "scratch"]', "part": "val"})
    return path


@pytest.fixture
def model(tmp_path):
    return (
        write_detector(tmp_path / "cell" / "model.onnx")
        if (tmp_path / "cell").mkdir() is None
        else None
    )


@pytest.fixture
def deployed(model, tmp_path):
    """The folder, pictures of different sizes, and what the suite stores of each."""
    pack = make_pack(tmp_path / "val.safetensors", 10)
    write_deployment(model, pack, choose_threshold(model, pack, 0.05), tmp_path / "deploy")
    engine, files, stored = OnnxDetector(model), [], []
    for n, pixels in enumerate(pictures(6)):
        large = np.kron(pixels, np.ones((3, 2, 1), np.uint8)) if n % 3 else pixels[:20, :24]
        files.append(tmp_path / f"{n}.png")
        Image.fromarray(large).save(files[-1])
        stored.append(detect(engine, large, 0.001, n + 1))
    return tmp_path / "deploy", files, stored


def test_the_script_finds_what_was_stored(deployed):
    folder, files, stored = deployed
    threshold = read_json(folder / "operating_point.json")["figures"]["threshold"]
    assert any(row["score"] > threshold for rows in stored for row in rows)
    said = check_script(folder, files, stored)
    assert said.startswith("6 pictures, ")
    assert float(said.split("differ by ")[1].split()[0]) < 0.01


def test_other_predictions_are_told(deployed):
    folder, files, stored = deployed
    busy = next(n for n, rows in enumerate(stored) if rows and rows[0]["score"] > 0.9)
    moved = [dict(row, bbox=[v + 15 for v in row["bbox"]]) for row in stored[busy]]
    others = [*stored[:busy], moved, *stored[busy + 1 :]]
    with pytest.raises(MeasurementError, match="do not deploy"):
        check_script(folder, files, others)


def test_the_folder_holds_all_that_a_line_needs(deployed):
    folder, _, _ = deployed
    names = {"model.onnx", "operating_point.json", "classes.txt", "run_model.py"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "classes.txt").read_text().split() == ["pit", "scratch"]
    threshold, _ = threshold_of(folder / "model.onnx")
    assert threshold == read_json(folder / "operating_point.json")["figures"]["threshold"]


def test_the_script_needs_three_packages_and_is_short():
    tree = ast.parse(SCRIPT.read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).split(".")[0])
    assert modules == {"json", "sys", "pathlib", "numpy", "onnxruntime", "PIL"}
    (body,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "detect")
    assert (body.end_lineno or 0) - body.lineno <= 30


def test_the_threshold_keeps_the_overkill_where_good_pictures_show_it(model, tmp_path):
    few = choose_threshold(model, make_pack(tmp_path / "few.safetensors", 10), 0.05)
    assert few.why.startswith("the best F1")
    assert "has 5 defect-free pictures" in few.why
    pack = make_pack(tmp_path / "many.safetensors", 44)
    for rate in (0.05, 0.5):
        many = choose_threshold(model, pack, rate)
        assert f"at most {rate:.1%} of the 22 defect-free" in many.why
        assert many.figures["on_validation"]["overkill_rate"] == rate
    with pytest.raises(ConfigError, match="share from 0"):
        choose_threshold(model, pack, 5)
