"""The program in C++ says what the Python engine says; those that cannot be compiled here say so."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.advice.small_cell import plate, write_small

from defectbench.advice.deploying import deploy
from defectbench.base.engines import Form
from defectbench.deploy.deployment.content import RUNNERS
from defectbench.deploy.deployment.folder import HERE
from defectbench.deploy.engines import load_engine
from defectbench.deploy.quantise import quantise
from defectbench.deploy.runtime import prepare

SNIPPETS = HERE / "snippets"


def test_there_is_one_for_every_engine_that_has_a_script():
    assert {path.stem for path in SNIPPETS.iterdir()} == set(RUNNERS)


@pytest.mark.parametrize("engine", [engine for engine in RUNNERS if engine != "openvino"])
def test_one_that_was_not_compiled_says_so(engine):
    text = (SNIPPETS / f"{engine}.cpp").read_text()
    assert "NOT COMPILED where this folder was made" in text
    assert "int main(" in text


@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler is installed")
def test_that_of_openvino_compiles_and_says_what_the_engine_says(tmp_path):
    """g++ takes ten seconds for the headers."""
    small = write_small(tmp_path)
    form = Form("openvino", "int8")
    quantise(small.model, small.pack("train"), small.cell / form.model)
    out = tmp_path / "out"
    deploy(small.cell, form, 0.05, out, shelves=small.shelves)
    import openvino

    package = Path(openvino.__file__).parent
    (library,) = package.glob("libs/libopenvino.so.*")
    program, source = tmp_path / "run_model", out / "cpp" / "run_model.cpp"
    command = ["g++", "-std=c++17", "-O0", str(source), f"-I{package / 'include'}", str(library)]
    subprocess.run([*command, f"-Wl,-rpath,{package / 'libs'}", "-o", str(program)], check=True)
    picture, tensor = tmp_path / "picture.png", tmp_path / "image.f32"
    Image.fromarray(plate(3)).save(picture)
    python = [shutil.which("python") or "python", str(out / "run_model.py")]
    subprocess.run([*python, "--tensor", str(picture), str(tensor)], check=True)
    images = prepare(plate(3), 32)
    np.testing.assert_allclose(np.fromfile(tensor, np.float32), images.ravel(), atol=1e-6)

    files = [tmp_path / "boxes.f32", tmp_path / "scores.f32"]
    words = [str(out / "model.onnx"), str(tensor), "0.4"]
    said = subprocess.run(
        [str(program), *words, *map(str, files)], capture_output=True, text=True, check=True
    )
    boxes, scores = load_engine("openvino", small.cell / form.model, 1).run(images)
    np.testing.assert_allclose(np.fromfile(files[0], np.float32), boxes.ravel(), atol=1e-4)
    np.testing.assert_allclose(np.fromfile(files[1], np.float32), scores.ravel(), atol=1e-5)
    rows = [line.split() for line in said.stdout.splitlines()]
    assert len(rows) == int((scores > 0.4).sum()) > 0
    points, labels = np.nonzero(scores[0] > 0.4)
    assert [int(row[0]) for row in rows] == labels.tolist()
    np.testing.assert_allclose([float(row[2]) for row in rows], boxes[0, points, 0], rtol=1e-4)

    short = tmp_path / "short.f32"
    short.write_bytes(tensor.read_bytes()[:-4])
    refused = subprocess.run(
        [str(program), words[0], str(short), "0.4"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "not a tensor of" in refused.stderr
