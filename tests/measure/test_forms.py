"""Forms of a model file: scored by the engine that runs them, timed in one race with the artifact."""

import json

import numpy as np
import onnx
import pytest
from measure_cases import make_truth
from tests.small_models import SIDE, write_images, write_model

from defectbench.base.engines import ON_PROCESSORS, PRECISIONS, Form, forms_of
from defectbench.base.errors import ArtifactError, DeviceMemoryError, MeasurementError
from defectbench.base.records import ABSENT, read_record, write_record
from defectbench.base.studies import LatencySettings
from defectbench.cli import main
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.engines import openvino
from defectbench.deploy.engines.files import recorded_sha256
from defectbench.deploy.engines.openvino import OpenVinoSession
from defectbench.deploy.quantise import quantise
from defectbench.measure import forms
from defectbench.measure.absences import absence_of
from defectbench.measure.cell import Truth, measure_cell
from defectbench.measure.forms import measure_form
from defectbench.measure.race import entries_of, note_absences, race

SHORT = LatencySettings(processes=2, rounds=10, block_calls=2, warmup=1, burst_calls=0)
OTHERS = [form for form in forms_of(ON_PROCESSORS, PRECISIONS) if not form.is_artifact]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cell with its model file, its packs and the truth, all forms made and scored."""
    root = tmp_path_factory.mktemp("forms")
    cell = root / "clean" / "four" / "seed0"
    cell.mkdir(parents=True)
    write_model(cell / "model.onnx")
    train, test = (write_images(root / f"{part}.safetensors", part) for part in ("train", "test"))
    content = make_truth([[(0, [2, 2, 20, 20])]] * 6, width=SIDE, height=SIDE)
    for number, image in enumerate(content["images"]):
        image["id"] = number
    for number, box in enumerate(content["annotations"]):
        box["image_id"] = number
    (root / "annotations.json").write_text(json.dumps(content))
    names = [image["file_name"] for image in content["images"]]
    (root / "test.txt").write_text("".join(f"{name}\n" for name in names))
    rows = "".join(f"{n},{name},{n}\n" for n, name in enumerate(names))
    (root / "groups.csv").write_text("image_id,file_name,group\n" + rows)
    truth = Truth(root / "annotations.json", root / "test.txt", root / "groups.csv")
    measure_cell(cell / "model.onnx", test, truth)
    quantise(cell / "model.onnx", train, cell / "engines" / "int8" / "model.onnx")
    for form in OTHERS:
        if form.engine == "ncnn":
            convert_model(cell / "model.onnx", form, cell / form.model)
        measure_form(cell, form, test, truth)
    return root, cell, test, truth


@pytest.mark.parametrize("form", OTHERS, ids=lambda form: form.name)
def test_each_form_is_scored_by_the_model_that_it_runs(home, form):
    _, cell, _, _ = home
    accuracy = read_record(cell / form.folder / "accuracy.json", "accuracy")
    predicted = read_record(cell / form.folder / "predictions.record.json", "predictions")
    assert accuracy["model_sha256"] == recorded_sha256(predicted["inputs"])
    agreement = read_record(cell / form.folder / "agreement.json", "agreement")["figures"]
    assert agreement["n_images"] == 6
    worst = max(agreement["largest_difference_boxes"], agreement["largest_difference_scores"])
    assert worst < (forms.BOUND if form.precision == "fp32" else 0.02)


def test_all_forms_meet_in_one_race_and_are_held_against_the_artifact(home):
    _, cell, _, _ = home
    everything = [Form("onnxruntime"), *OTHERS]
    note_absences([cell], everything)
    race(entries_of([cell], everything), SHORT)
    for form in OTHERS:
        record = read_record(cell / "latency" / f"{form.name}.json", "latency")
        assert record["settings"]["engine"] == form.engine
        assert record["settings"]["device"] == "cpu"
        assert record["figures"]["ratio_to_base"] > 0
        scored = read_record(cell / form.folder / "accuracy.json", "accuracy")["model_sha256"]
        assert recorded_sha256(record["inputs"]) == scored  # what is timed is what was scored
    artifact = read_record(cell / "latency" / "onnxruntime.json", "latency")
    assert "ratio_to_base" not in artifact["figures"]


def test_what_cannot_run_is_recorded_in_each_place(home, tmp_path):
    _, cell, test, truth = home
    other = tmp_path / "clean" / "five" / "seed0"
    (other / "engines" / "ncnn").mkdir(parents=True)
    (other / "model.onnx").write_bytes((cell / "model.onnx").read_bytes())
    made = other / "engines" / "ncnn" / "conversion.json"
    write_record(made, "conversion", {ABSENT: "ncnn operator: Det"}, {})
    measure_form(other, Form("ncnn"), test, truth)
    note_absences([other], [Form("ncnn")])
    for path, kind in (
        ("engines/ncnn/accuracy.json", "accuracy"),
        ("latency/ncnn.json", "latency"),
    ):
        assert read_record(other / path, kind)["figures"] == {ABSENT: "ncnn operator: Det"}
    predictions = cell / "predictions.record.json"
    (other / "predictions.record.json").write_bytes(predictions.read_bytes())
    assert [entry.engine for entry in entries_of([other], [Form("onnxruntime"), Form("ncnn")])] == [
        "onnxruntime"
    ]


def test_an_engine_that_answers_otherwise_is_refused(home, monkeypatch, tmp_path):
    _, cell, test, truth = home
    monkeypatch.setattr(forms, "BOUND", 0.0)
    other = tmp_path / "clean" / "four" / "seed0"
    other.mkdir(parents=True)
    (other / "model.onnx").write_bytes((cell / "model.onnx").read_bytes())
    with pytest.raises(MeasurementError, match="difference of openvino"):
        measure_form(other, Form("openvino"), test, truth)
    assert [path.name for path in other.iterdir()] == ["model.onnx"]  # nothing half written


@pytest.mark.parametrize(("moved", "passes"), [(1, True), (3, False)])
def test_few_images_may_be_chosen_otherwise_where_nothing_is_suppressed(
    home, tmp_path, monkeypatch, moved, passes
):
    _, cell, test, truth = home
    other = tmp_path / "clean" / "four" / "seed0"
    other.mkdir(parents=True)
    model = onnx.load(str(cell / "model.onnx"))
    model.metadata_props.add(key="suppression", value="none")
    onnx.save(model, str(other / "model.onnx"))
    run = OpenVinoSession.run

    def chooses_otherwise(session, images):
        outputs = [np.array(values) for values in run(session, images)]
        if len(images) == 6:
            outputs[0][:moved] = outputs[0][:moved, ::-1]
        return outputs

    monkeypatch.setattr(OpenVinoSession, "run", chooses_otherwise)
    if not passes:
        with pytest.raises(MeasurementError, match="difference of openvino"):
            measure_form(other, Form("openvino"), test, truth)
        return
    measure_form(other, Form("openvino"), test, truth)
    path = other / "engines" / "openvino" / "agreement.json"
    figures = read_record(path, "agreement")["figures"]
    assert figures["n_images_chosen_otherwise"] == moved
    assert figures["largest_difference_boxes"] < forms.BOUND


def another(cell, tmp_path):
    """A cell of the same model file in a folder of its own."""
    folder = tmp_path / "clean" / "four" / "seed0"
    folder.mkdir(parents=True)
    for name in ("model.onnx", "predictions.record.json", "operating_point.json"):
        if (cell / name).is_file():
            (folder / name).write_bytes((cell / name).read_bytes())
    return folder


def test_what_starts_a_process_a_call_is_scored_and_not_raced(home, monkeypatch, tmp_path):
    _, cell, _, _ = home
    folder = another(cell, tmp_path)
    monkeypatch.setattr(OpenVinoSession, "starts_processes", True, raising=False)
    race(entries_of([folder], [Form("onnxruntime"), Form("openvino")]), SHORT)
    record = read_record(folder / "latency" / "openvino.json", "latency")
    assert list(record["figures"]) == [ABSENT]
    assert "starts a process for each call" in record["figures"][ABSENT]
    assert record["inputs"]["model"]["path"] == str(folder / "model.onnx")
    timed = read_record(folder / "latency" / "onnxruntime.json", "latency")
    assert timed["figures"]["ratio_to_reference"] > 0


def refuse(monkeypatch, error):
    """Let OpenVINO answer every model with an error."""

    def refused(*given):
        raise error

    monkeypatch.setattr(openvino, "_read", refused)


def test_what_an_engine_refuses_is_a_stated_cell_and_the_others_race(home, monkeypatch, tmp_path):
    _, cell, test, truth = home
    folder = another(cell, tmp_path)
    forms_here = [Form("onnxruntime"), Form("openvino")]
    with monkeypatch.context() as refusing:
        refuse(refusing, RuntimeError("Check 'rank == 4' failed.\nand more"))
        measure_form(folder, Form("openvino"), test, truth)
    reason = "it refuses the model: Check 'rank == 4' failed"
    for path, kind in (
        ("accuracy.json", "accuracy"),
        ("agreement.json", "agreement"),
        ("predictions.record.json", "predictions"),
    ):
        assert read_record(folder / "engines/openvino" / path, kind)["figures"] == {ABSENT: reason}
    assert absence_of(folder, Form("openvino")) == reason
    note_absences([folder], forms_here)
    assert read_record(folder / "latency/openvino.json", "latency")["figures"] == {ABSENT: reason}
    assert [entry.engine for entry in entries_of([folder], forms_here)] == ["onnxruntime"]
    # an engine that was mended is asked again
    measure_form(folder, Form("openvino"), test, truth)
    assert absence_of(folder, Form("openvino")) is None
    assert len(entries_of([folder], forms_here)) == 2


def test_what_an_engine_said_of_an_earlier_file_says_nothing_of_this_one(
    home, monkeypatch, tmp_path
):
    _, cell, test, truth = home
    folder = another(cell, tmp_path)
    refuse(monkeypatch, RuntimeError("no"))
    measure_form(folder, Form("openvino"), test, truth)
    write_model(folder / "model.onnx", depth=5)
    assert absence_of(folder, Form("openvino")) is None


def test_a_full_or_damaged_machine_is_no_fact_about_an_engine(home, monkeypatch, tmp_path):
    _, cell, test, truth = home
    folder = another(cell, tmp_path)
    with monkeypatch.context() as refusing:
        refuse(refusing, MemoryError())
        with pytest.raises(DeviceMemoryError):
            measure_form(folder, Form("openvino"), test, truth)
    convert_model(folder / "model.onnx", Form("ncnn"), folder / Form("ncnn").model)
    (folder / Form("ncnn").model / "signature.json").write_text("{")
    with pytest.raises(ArtifactError, match="make it again"):
        measure_form(folder, Form("ncnn"), test, truth)
    assert not list(folder.rglob("accuracy.json"))


def test_the_verb_measures_a_form(home, capsys):
    _, cell, test, truth = home
    told = ["--cell", str(cell), "--test", str(test), "--annotations", str(truth.annotations)]
    told += ["--images", str(truth.images), "--groups", str(truth.groups)]
    assert main(["measure-form", "--form", "openvino-int8", *told]) == 0
    assert main(["measure-form", "--form", "openvino-int9", *told]) == 2
    assert "openvino-int8" in capsys.readouterr().err
