"""The folder to deploy says what this very file scored, and its script finds what is stored."""

import ast
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image
from tests.advice.small_cell import told, write_cards, write_latency, write_small
from tests.measure.race_cases import write_classifier

from defectbench.advice import deploying
from defectbench.advice.deploying import deploy
from defectbench.base.engines import ENGINES, PRECISIONS, Form, forms_of
from defectbench.base.errors import (
    ArtifactError,
    ConfigError,
    FileAccessError,
    MeasurementError,
)
from defectbench.base.files import sha256_file
from defectbench.base.records import ABSENT, write_record
from defectbench.base.tiling import Tiling
from defectbench.cli import main
from defectbench.deploy import engines
from defectbench.deploy.artifact import read_metadata, set_metadata
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.deployment.content import RUNNERS
from defectbench.deploy.deployment.folder import SCRIPT
from defectbench.deploy.engines.files import inputs_of
from defectbench.deploy.nms import SCORING_THRESHOLD
from defectbench.deploy.pictures import detect, threshold_of
from defectbench.deploy.quantise import quantise
from defectbench.deploy.runtime import OnnxDetector
from defectbench.measure.forms import measure_form

ARTIFACT = Form("onnxruntime")
FORMS = [
    form for form in forms_of(ENGINES, PRECISIONS) if form.engine in RUNNERS
]  # of which there is a script
FORBIDDEN = ("cv2", "defectbench", "matplotlib", "onnx", "pydantic", "scipy", "torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cell with a quantised file and with ncnn's own files; other forms than the artifact are not scored."""
    small = write_small(tmp_path_factory.mktemp("made"))
    quantise(small.model, small.pack("train"), small.cell / "engines" / "int8" / "model.onnx")
    for precision in ("fp32", "fp16"):
        form = Form("ncnn", precision)
        convert_model(small.model, form, small.cell / form.model)
    return small


@pytest.fixture
def small(made, tmp_path):
    """The same in a folder of its own, which a test may change."""
    cell = tmp_path / "seed0"
    shutil.copytree(made.cell, cell)
    return type(made)(cell, made.data, made.parts, write_cards(tmp_path), made.truth)


def deployed(small, out, form=ARTIFACT, **more):
    return deploy(small.cell, form, 0.05, out, shelves=small.shelves, **more)


def run(folder, *words, without=()):
    """Run the script; modules of some names cannot be imported."""
    environment = dict(os.environ)
    if without:
        refusing = folder.parent / "refusing"
        refusing.mkdir()
        (refusing / "sitecustomize.py").write_text(
            "import sys\n"
            "class Refuse:\n"
            "    def find_spec(self, name, *rest):\n"
            f"        if name.partition('.')[0] in {without!r}:\n"
            "            raise ModuleNotFoundError('refused: ' + name, name=name)\n"
            "sys.meta_path.insert(0, Refuse())\n"
        )
        environment["PYTHONPATH"] = str(refusing)
    command = [sys.executable, str(folder / "run_model.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_script_finds_what_is_stored_in_every_form(form, small, tmp_path):
    done = deployed(small, tmp_path / "out", form)
    assert done.checked.startswith("10 pictures, ")
    assert int(done.checked.split()[2]) > 10
    most = 0.03 if form.precision == "int8" else 0.005
    assert float(done.checked.split("differ by ")[1].split()[0]) < most
    assert "no like" not in done.checked
    readme = (tmp_path / "out" / "README.md").read_text()
    assert ("| mAP50, % |" in readme) == form.is_artifact
    assert ("this form was not scored" in readme) != form.is_artifact
    assert "this form was not timed" in readme
    assert (tmp_path / "out" / "classes.txt").read_text().split() == ["pit", "scratch"]
    settings = told(tmp_path / "out" / "deployment.json")["settings"]
    assert (settings["engine"], settings["precision"]) == (form.engine, form.precision)


def test_it_needs_the_engine_numpy_and_pillow_alone(small, tmp_path):
    deployed(small, tmp_path / "out", Form("openvino", "int8"))
    without = (*FORBIDDEN, "onnxruntime", "ncnn")
    run_here = run(tmp_path / "out", "--check", small.data / "images", without=without)
    assert run_here.returncode == 0, run_here.stderr
    assert run_here.stdout.startswith("10 pictures, ")
    modules = {
        name.partition(".")[0]
        for path in (SCRIPT, SCRIPT.parents[1] / "nms.py", SCRIPT.parents[1] / "merge.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    standard = {
        "__future__",
        "collections",
        "dataclasses",
        "hashlib",
        "importlib",
        "json",
        "pathlib",
        "sys",
        "typing",
    }
    assert modules - standard == {"PIL", "boxes", "numpy", "onnxruntime", "openvino"}


def test_it_says_the_score_and_speed_of_this_very_file(small, tmp_path):
    form = Form("openvino", "int8")
    measure_form(small.cell, form, small.pack("test"), small.truth)
    model = small.cell / form.model
    write_latency(small.cell / "latency" / "openvino-int8.json", inputs_of(model))
    done = deployed(small, tmp_path / "out", form)
    scored = told(small.cell / form.folder / "accuracy.json")["figures"]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert f"| mAP50, % | {100 * scored['map50']:.1f} |" in readme
    assert "2.4 to 2.6" in readme
    assert "8.25" in readme
    assert sha256_file(model) in readme
    assert told(tmp_path / "out" / "deployment.json")["hardware"]["cpu"] in readme
    assert "that were scored" in readme
    scored_file, deployed_file = sha256_file(model), sha256_file(tmp_path / "out" / "model.onnx")
    assert ("of the model here is that of the scored one" in readme) == (
        scored_file == deployed_file
    )
    assert done.told()[-1] == f"to deploy: {tmp_path / 'out'}"
    assert len(done.told()) == 3
    assert told(tmp_path / "out" / "deployment.json")["settings"]["threads"] == 1
    deployed(small, tmp_path / "plain")
    assert (
        "of the model here is that of the scored one"
        in (tmp_path / "plain" / "README.md").read_text()
    )
    manifest = told(tmp_path / "out" / "deployment.json")
    assert manifest["model_sha256"] == sha256_file(model)
    assert manifest["files"] == {"model.onnx": sha256_file(tmp_path / "out" / "model.onnx")}
    assert manifest["figures"]["score"]["map50"] == scored["map50"]


def test_no_two_cells_are_deployed_into_the_same_folder(small, tmp_path, monkeypatch):
    cells = []
    for method, seed in (("four", 0), ("four", 1), ("four+slim0.5mib", 0)):
        cells.append(tmp_path / method / f"seed{seed}")
        shutil.copytree(small.cell, cells[-1])
        model = onnx.load(small.model)
        set_metadata(model, read_metadata(model) | {"seed": str(seed)})
        onnx.save(model, cells[-1] / "model.onnx")
        (cells[-1] / "accuracy.json").write_text(
            json.dumps(told(small.cell / "accuracy.json") | {"model_sha256": "0" * 64})
        )
    monkeypatch.chdir(tmp_path)
    folders = [
        deploy(cell, ARTIFACT, 0.05, val=small.pack("val"), shelves=small.shelves).folder
        for cell in cells
    ]
    assert [folder.as_posix() for folder in folders] == [
        "deployments/steel-clean-four-seed0-onnxruntime",
        "deployments/steel-clean-four-seed1-onnxruntime",
        "deployments/steel-clean-four+slim0.5mib-seed0-onnxruntime",
    ]
    titles = [(folder / "README.md").read_text().splitlines()[0] for folder in folders]
    assert titles == [
        *["# Four convolutions on Small steel: onnxruntime, fp32"] * 2,
        "# Four convolutions, slimmed to 0.5 MiB on Small steel: onnxruntime, fp32",
    ]


def test_figures_of_another_file_are_not_borrowed(small, tmp_path):
    write_latency(small.cell / "latency" / "onnxruntime.json", {"model": small.pack("val")})
    done = deployed(small, tmp_path / "out")
    assert done.score.record is not None
    assert "speaks of another file" in done.speed.missing
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "2.4 to 2.6" not in readme
    content = told(small.cell / "accuracy.json") | {"model_sha256": "0" * 64}
    (small.cell / "accuracy.json").write_text(json.dumps(content))
    assert "speaks of another file" in deployed(small, tmp_path / "out").score.missing
    assert "mAP50, %" not in (tmp_path / "out" / "README.md").read_text()


def test_a_timing_that_is_not_to_be_cited_is_marked(small, tmp_path):
    path = small.cell / "latency" / "onnxruntime.json"
    write_latency(path, {"model": small.model}, valid=False, invalid_because=["a busy machine"])
    deployed(small, tmp_path / "out")
    assert "marked invalid** (a busy machine)" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("engine", RUNNERS)
def test_the_script_takes_as_many_threads_as_were_timed(small, tmp_path, engine):
    form = Form(engine)
    write_latency(
        small.cell / "latency" / f"{form.name}.json", inputs_of(small.cell / form.model), threads=2
    )
    deployed(small, tmp_path / "out", form)
    assert "2 threads, as many as the script takes" in (tmp_path / "out" / "README.md").read_text()
    look = (
        "import importlib, sys; sys.argv = ['run_model.py']; import run_model; seen = {}\n"
        "engine = run_model.SETTINGS['engine']; module = importlib.import_module(engine)\n"
        "session = getattr(module, 'InferenceSession', None)\n"
        "compile_model = getattr(module, 'compile_model', None)\n"
        "if session: module.InferenceSession = lambda path, options, **more: (\n"
        "    seen.update(n=options.intra_op_num_threads), session(path, options, **more))[1]\n"
        "if compile_model: module.compile_model = lambda path, device, settings: (\n"
        "    seen.update(n=settings['INFERENCE_NUM_THREADS']),\n"
        "    compile_model(path, device, settings))[1]\n"
        "opened = getattr(run_model, f'open_{engine}')(run_model.HERE / run_model.SETTINGS['model'])\n"
        "held = dict(zip(opened.__code__.co_freevars, opened.__closure__))\n"
        "if 'net' in held: seen.update(n=held['net'].cell_contents.opt.num_threads)\n"
        "print(seen['n'])\n"
    )
    said = subprocess.run(
        [sys.executable, "-B", "-c", look],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.split() == ["2"], said.stderr


def test_files_that_ncnn_does_not_read_are_named_by_the_script(small, tmp_path):
    deployed(small, tmp_path / "out", Form("ncnn"))
    (tmp_path / "out" / "model" / "model.param").write_text("damaged")
    said = run(tmp_path / "out", small.data / "images" / "plate_00.png")
    assert said.returncode == 1
    assert "model.param: not a file that this ncnn reads" in said.stderr


def test_pictures_are_given_on_only_where_the_terms_allow_it(small, tmp_path):
    deployed(small, tmp_path / "out")
    assert not (tmp_path / "out" / "check").exists()
    assert "giving them on is not stated" in (tmp_path / "out" / "README.md").read_text()
    without = run(tmp_path / "out", "--check")
    assert without.returncode == 1
    assert "--check FOLDER" in without.stderr
    assert run(tmp_path / "out", "--check", small.data / "images").returncode == 0
    write_cards(tmp_path, "allowed")
    deployed(small, tmp_path / "out")
    assert len(list((tmp_path / "out" / "check").iterdir())) == 10
    assert run(tmp_path / "out", "--check").returncode == 0
    licences = (tmp_path / "out" / "LICENCES.txt").read_text()
    assert "a licence of its own; research not stated" in licences
    assert "Apache License" in licences
    Image.new("RGB", (9, 9)).save(tmp_path / "out" / "check" / "plate_00.png")
    assert "another picture" in run(tmp_path / "out", "--check").stderr


def test_what_a_training_started_from_stands_among_the_licences(small, tmp_path):
    deployed(small, tmp_path / "plain")
    assert "published weights" not in (tmp_path / "plain" / "LICENCES.txt").read_text()
    start = {"start": {"data": "COCO", "licence": "a licence of weights"}}
    write_record(small.cell / "train.json", "train", {"epochs": 1}, {}, extra=start)
    deployed(small, tmp_path / "out")
    licences = (tmp_path / "out" / "LICENCES.txt").read_text()
    assert "from which its training started (COCO): a licence of weights" in licences


def test_a_model_that_finds_something_else_is_not_deployed(small, tmp_path, monkeypatch):
    def moved(*arguments):
        return [{**row, "bbox": [value + 9 for value in row["bbox"]]} for row in detect(*arguments)]

    monkeypatch.setattr(deploying, "detect", moved)
    with pytest.raises(MeasurementError, match="has no like among the stored"):
        deployed(small, tmp_path / "out", Form("openvino"))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_predictions_that_were_changed_are_no_stored_ones(small, tmp_path):
    path = small.cell / "predictions.json"
    path.write_text(json.dumps(told(path)[1:]))
    with pytest.raises(ConfigError, match="measure the form again"):
        deployed(small, tmp_path / "out")


def test_another_folder_is_never_replaced(small, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "operating_point.json").write_text("{}")
    for out in (other, small.cell, small.model):
        with pytest.raises(FileAccessError, match="no folder that `deploy` wrote"):
            deployed(small, out)
    assert (other / "operating_point.json").read_text() == "{}"
    (tmp_path / "out").mkdir()
    deployed(small, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("of the earlier one")
    deployed(small, tmp_path / "out")
    assert not (tmp_path / "out" / "notes.txt").exists()


def test_what_cannot_be_deployed_is_named_with_what_mends_it(small, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.rmtree(small.cell / "engines" / "int8")
    with pytest.raises(ConfigError, match=r"defectbench quantise --model .*train@<size>"):
        deployed(small, out, Form("openvino", "int8"))
    figures = {ABSENT: "ncnn operator: Einsum"}
    write_record(small.cell / "engines" / "ncnn" / "conversion.json", "conversion", figures, {})
    with pytest.raises(ConfigError, match="Einsum"):
        deployed(small, out, Form("ncnn"))
    shutil.rmtree(small.cell / "engines" / "ncnn-fp16" / "model")
    with pytest.raises(ConfigError, match="defectbench convert-model"):
        deployed(small, out, Form("ncnn", "fp16"))
    with pytest.raises(ConfigError, match="pack of the validation part"):
        deployed(small, out, val=None) if (
            small.cell / "operating_point.json"
        ).unlink() else deployed(small, out)
    with pytest.raises(ConfigError, match="share from 0"):
        deploy(small.cell, ARTIFACT, 5, out, small.pack("val"), small.shelves)
    monkeypatch.setitem(engines.PACKAGES, "openvino", ("no-such-package",))
    with pytest.raises(ConfigError, match=r"pip install \"defectbench\[openvino\]\""):
        deployed(small, out, Form("openvino"), val=small.pack("val"))
    model = onnx.load(small.model)
    model.graph.output[0].name = "corners"
    model.graph.node[-3].output[0] = "corners"
    onnx.save(model, small.model)
    with pytest.raises(ArtifactError):
        deployed(small, out, val=small.pack("val"))
    assert not out.exists()


def test_another_model_or_a_missing_engine_is_told_by_the_script(small, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    out = tmp_path / "out"
    deployed(small, out)
    assert not list(out.rglob("__pycache__"))
    missing = run(out, "--check", without=("onnxruntime",))
    assert missing.returncode == 1
    assert "pip install numpy pillow onnxruntime" in missing.stderr
    with (out / "model.onnx").open("ab") as handle:
        handle.write(b"\x7a\x00")  # an empty field more: the same model in other bytes
    assert "another file than the one" in run(out, "--check", small.data / "images").stderr


def test_a_classifier_and_a_method_without_a_card_are_named(small, tmp_path):
    (small.shelves.models / "four" / "card.yaml").unlink()
    with pytest.raises(ConfigError, match="card"):
        deployed(small, tmp_path / "out")
    write_classifier(small.model)
    with pytest.raises(ConfigError, match="for detectors"):
        deployed(small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_are_checked_before_anything_is_read(small, tmp_path, capsys):
    words = ["deploy", str(small.cell), "--out", str(tmp_path / "out")]
    assert main([*words, "--engine", "openvin"]) == 2
    assert "did you mean openvino?" in capsys.readouterr().err
    assert main([*words, "--engine", "openvino", "--precision", "fp16"]) == 2
    assert "openvino has fp32, int8" in capsys.readouterr().err
    shelves = ["--datasets", str(small.shelves.datasets), "--models", str(small.shelves.models)]
    assert main([*words, *shelves]) == 0
    assert "the script says what is stored: 10 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("form", [ARTIFACT, Form("openvino", "int8")], ids=lambda form: form.name)
def test_the_suite_predicts_with_the_deployed_file_at_its_threshold(form, small, tmp_path):
    done = deployed(small, tmp_path / "out", form)
    assert threshold_of(tmp_path / "out" / "model.onnx")[0] == done.threshold.threshold


def test_a_model_of_tiles_is_deployed_with_its_tiles(tmp_path):
    small = write_small(tmp_path, Tiling(side=48, overlap=16))
    done = deployed(small, tmp_path / "out")
    assert done.checked.startswith("10 pictures, ")
    assert int(done.checked.split()[2]) > 10
    assert "cut into tiles of 48 pixels" in (tmp_path / "out" / "README.md").read_text()


def test_a_picture_is_read_as_the_suite_reads_it(small, tmp_path):
    """Turned by its EXIF, in grey, with a palette, as JPEG: the boxes are those of the suite."""
    from defectbench.data.pack import read_rgb

    deployed(small, tmp_path / "out")
    random = np.random.default_rng(4)
    pixels = np.kron(random.integers(0, 256, (9, 14, 3)), np.ones((7, 6, 1))).astype(np.uint8)
    picture, turned = Image.fromarray(pixels), Image.Exif()
    turned[0x0112] = 6
    files = [tmp_path / name for name in ("a.jpg", "b.png", "c.png", "d.png")]
    picture.save(files[0], exif=turned, quality=95)
    picture.convert("L").save(files[1])
    picture.convert("P").save(files[2])
    picture.convert("RGBA").resize((333, 217)).save(files[3])
    said = json.loads(run(tmp_path / "out", *files).stdout)
    engine, threshold = OnnxDetector(small.model), threshold_of(tmp_path / "out" / "model.onnx")[0]
    for file in files:
        rows = detect(engine, read_rgb(file), SCORING_THRESHOLD, 1)
        stored = [row for row in rows if row["score"] > threshold]
        assert len(said[str(file)]) == len(stored) > 0
        scores = [score for _, score, _ in said[str(file)]]
        np.testing.assert_allclose(scores, [row["score"] for row in stored], atol=5e-3)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(deep)
    assert "more than 8 bits" in run(tmp_path / "out", deep).stderr
