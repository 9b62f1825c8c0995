"""What a card says of published weights is checked when the card is read."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_card
from defectbench.base.published import PublishedWeights

ROOT = Path(__file__).parents[2]
WITH_WEIGHTS = {
    "nanodet_m": (73, 941_818),
    "nanodet_plus_m": (110, 1_186_346),
    "yolox_nano": (113, 904_463),
}


def content(name="nanodet_m"):
    return yaml.safe_load((ROOT / "models" / name / "card.yaml").read_text())["weights"]["coco"]


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_each_convolution_has_a_name(name):
    weights = load_card(ROOT / "models" / name).weights["coco"]
    assert weights.is_ncnn
    assert len(weights.module_names) == len(set(weights.module_names)) == WITH_WEIGHTS[name][0]


def test_each_module_of_a_state_dictionary_has_a_partner():
    weights = load_card(ROOT / "models" / "yolo_fastestv2").weights["coco"]
    pairs = weights.module_pairs
    assert len(pairs) == len(set(pairs.values()))
    assert pairs["backbone.stage3.7.branch_main.5"] == "backbone.stages.1.7.right.2.0"
    assert pairs["fpn.reg_head_3.block.8"] == "neck.box_towers.1.3.0"
    assert pairs["output_obj_layers"] == "head.objectness"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": {".param": "0" * 64}}, "sha256 names"),
        ({"sha256": {".pth": "0" * 64}}, "convolutions belong to"),
        ({"sha256": {".param": "0" * 63, ".bin": "0" * 64}}, "pattern"),
        ({"tensors": {"a": "b"}}, "convolutions belong to"),
        ({"convolutions": ["a.{0,1}", "a.1"]}, "twice: a.1"),
        ({"convolutions": ["a.{0,1"]}, "does not close"),
        ({"reference": "file"}, "ncnn runs its own files"),
        (
            {"input": {"colours": "rgb", "convolution": "a", "into_first": True}},
            "into_first is for",
        ),
        ({"outputs": {"all": {"columns": [0, 1], "bound": 1e-5}}}, "names its blobs"),
        ({"outputs": {"all": {"columns": [0, 1], "blobs": ["x"], "bound": 0}}}, "greater than 0"),
        ({"licence": None}, "string"),
        ({"url": {".param": "https://host/net.param"}}, "an address for each of .param, .bin"),
        ({"url": {".param": "ftp://host/a", ".bin": "ftp://host/b"}}, "pattern"),
        ({"class_channels": {"head.outputs.0": [0, 79]}}, "other than 80 channels"),
        ({"classes": ["person"]}, "each of 80 classes once"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    with pytest.raises(ValidationError, match=words):
        PublishedWeights.model_validate({**content(), **change})


PROGRAM = {"data": "COCO", "nc": 80, "size": 640, "source": "s", "licence": "l"}


def test_a_file_of_a_program_says_nothing_of_its_tensors():
    weights = PublishedWeights.model_validate({**PROGRAM, "sha256": {".pt": "0" * 64}})
    assert weights.is_of_program
    assert not weights.is_ncnn
    assert weights.file == "weights.pt"
    with pytest.raises(ValidationError, match=r"tensors has no effect: \.pt is opened by"):
        PublishedWeights.model_validate(
            {**PROGRAM, "sha256": {".pt": "0" * 64}, "tensors": {"a": "b"}}
        )
    with pytest.raises(ValidationError, match="input says what the network wants to see"):
        PublishedWeights.model_validate({**PROGRAM, "sha256": {".pth": "0" * 64}})


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_programs_start_from_files_under_their_own_licence(name):
    weights = load_card(ROOT / "models" / f"{name}_ultralytics").weights["coco"]
    assert weights.is_of_program
    assert weights.licence.startswith("AGPL-3.0")
    assert weights.url[".pt"].endswith(f"/{name}.pt")


def test_outputs_of_a_state_dictionary_have_a_reference():
    with pytest.raises(ValidationError, match="give both, or neither"):
        PublishedWeights.model_validate({**content("yolo_fastestv2"), "outputs": {}})


def test_names_that_do_not_pair_are_refused():
    with pytest.raises(ValidationError, match=r"a.\{0,1\} are 2 names, b are 1"):
        PublishedWeights.model_validate({**content("yolo_fastestv2"), "tensors": {"a.{0,1}": "b"}})


def test_a_file_that_only_a_program_opens_is_none_for_the_engine(tmp_path):
    card = yaml.safe_load((ROOT / "models" / "nanodet_m" / "card.yaml").read_text())
    block = {**PROGRAM, "sha256": {".pt": "0" * 64}}
    folder = tmp_path / "nanodet_m"
    folder.mkdir()
    (folder / "card.yaml").write_text(yaml.safe_dump({**card, "weights": {"tiles": block}}))
    with pytest.raises(
        ConfigError, match=r"card\.yaml: .*weights\.tiles: \.pt .*\.pth, or \.param"
    ):
        load_card(folder)


def test_a_wrong_field_is_named_with_the_card(tmp_path):
    card = yaml.safe_load((ROOT / "models" / "nanodet_m" / "card.yaml").read_text())
    card["weights"]["coco"]["convolution"] = []
    folder = tmp_path / "nanodet_m"
    folder.mkdir()
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(
        ConfigError, match=r"card.yaml: weights.coco.convolution: .*did you mean convolutions"
    ):
        load_card(folder)


def test_no_weights_are_called_as_the_start_without(tmp_path):
    card = yaml.safe_load((ROOT / "models" / "nanodet_m" / "card.yaml").read_text())
    block = card["weights"]["coco"]
    card["weights"] = {"scratch": block}
    folder = tmp_path / "nanodet_m"
    folder.mkdir()
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ConfigError, match="the start without weights"):
        load_card(folder)


WORDS = ("url", "source", "licence", "data", "outputs", "size")


@pytest.mark.parametrize("field", [*WORDS, "sha256", "class_channels", "input", "convolutions"])
def test_a_start_is_made_again_for_what_decides_its_bits(field):
    """An address or a licence decides none; what the record says of weights is written again."""
    whole = content()
    other = {
        "url": {},
        "size": 352,
        "sha256": {".param": "0" * 64, ".bin": "1" * 64},
        "class_channels": {},
        "input": {**whole["input"], "colours": "rgb"},
        "convolutions": whole["convolutions"][::-1],
        "outputs": {},
    }
    card, changed = (
        PublishedWeights.model_validate(fields)
        for fields in (whole, {**whole, field: other.get(field, "other")})
    )
    assert card != changed
    assert (card.deciding() == changed.deciding()) is (field in WORDS)
    assert (card.recorded() == changed.recorded()) is (field in ("url", "outputs"))
