"""The published weights themselves. They are no part of the repository: DEFECTBENCH_WEIGHTS names their folder."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from defectbench.base.methods import load_card, load_method, method_names
from defectbench.weights.check import check_weights
from defectbench.weights.references import Trial

ROOT = Path(__file__).parents[2]
VARIABLE = "DEFECTBENCH_WEIGHTS"
MODELS = ROOT / "models"
COCO = {
    name: card.weights["coco"]
    for name in method_names(MODELS)
    if "coco" in (card := load_card(MODELS / name)).weights
}
NAMES = [name for name, weights in COCO.items() if weights.outputs]  # the others prove nothing
NCNN = [name for name, weights in COCO.items() if weights.is_ncnn]
RECORDS = ROOT / "results" / "reference" / "weights"


@pytest.fixture(scope="module")
def folder():
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no folder of published weights; docs/weights.md says which")
    return Path(os.environ[VARIABLE])


def test_four_methods_have_published_weights_to_be_held_against():
    assert NAMES == ["nanodet_m", "nanodet_plus_m", "yolo_fastestv2", "yolox_nano"]


@pytest.mark.parametrize("name", NAMES)
def test_our_network_gives_what_the_published_one_gives(name, folder):
    proof = check_weights(load_method(name, MODELS), folder)
    assert proof.holds, proof.differences


@pytest.mark.parametrize("name", NCNN)
def test_so_it_does_at_another_size(name, folder):
    proof = check_weights(load_method(name, MODELS), folder, Trial(224, 1, 1))
    assert proof.holds, proof.differences


def test_twins_of_equal_shape_in_the_wrong_order_are_seen(folder):
    """Both towers of the head fit either way; only what comes out tells them apart."""
    method = load_method("yolox_nano", MODELS)
    weights = COCO["yolox_nano"]
    names = [
        name.replace("class_tower", "_").replace("box_tower", "class_tower")
        for name in weights.convolutions
    ]
    swapped = weights.model_copy(
        update={"convolutions": [n.replace("_.", "box_tower.") for n in names]}
    )
    assert sorted(swapped.module_names) == sorted(weights.module_names)
    card = method.card.model_copy(update={"weights": {"coco": swapped}})
    assert not check_weights(dataclasses.replace(method, card=card), folder, Trial(64, 1)).holds


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_record_is_of_these_files_and_bounds(name):
    record = json.loads((RECORDS / f"{name}.json").read_text())
    weights = COCO[name]
    assert sorted(record["files_sha256"].values()) == sorted(weights.sha256.values())
    kept = record["figures"]["outputs"]
    assert {n: o["bound"] for n, o in kept.items()} == {
        n: o.bound for n, o in weights.outputs.items()
    }
    assert record["figures"]["holds"] is True


def test_the_page_names_files_sources_and_licences():
    page = (ROOT / "docs" / "weights.md").read_text()
    for name, weights in COCO.items():
        assert all(sha256[:8] in page for sha256 in weights.sha256.values()), name
        assert weights.source.split(",")[0].split(";")[0] in page, name
        assert weights.licence.split(" ")[0] in page, name
