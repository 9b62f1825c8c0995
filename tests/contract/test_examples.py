"""The data set that docs/add-a-dataset.md copies: from a folder to certified parts. The method is among all others."""

import json
from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.studies import load_study
from defectbench.data.acquire import acquire
from defectbench.data.certificate import certify
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split
from defectbench.data.synthetic import synthesize

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_steel"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as the card describes it."""
    folder = tmp_path_factory.mktemp("home")
    synthesize(folder / "drawn", seed=1, images=48, size=128)
    (folder / "drawn" / "IMAGES").rename(folder / "photos")
    (folder / "drawn" / "ANNOTATIONS").rename(folder / "labels")
    return folder


def test_a_folder_of_ones_own_becomes_certified_parts(home, tmp_path):
    card = load_dataset_card(EXAMPLE / "my-steel.yaml")
    acquire(card, tmp_path, mirror=home)
    convert(card, tmp_path / "raw", tmp_path)
    find_overlaps(tmp_path)
    group_images(tmp_path)
    split(tmp_path, "clean", 0)
    certify(tmp_path, "clean", 0)
    coco = json.loads((tmp_path / "annotations.json").read_text())
    assert len(coco["images"]) == 48
    assert [category["name"] for category in coco["categories"]] == card.classes
    (certificate,) = (tmp_path / "clean").rglob("certificate.json")
    figures = json.loads(certificate.read_text())["figures"]
    assert set(figures["shared_images"].values()) == {0}
    assert sum(figures["images"].values()) == 48


def test_its_study_names_the_set_and_the_method_of_the_examples():
    study = load_study(EXAMPLE / "study.yaml")
    (block,) = study.blocks
    assert block.datasets == ["my-steel"]
    assert "my_net" in block.methods
    assert list(study.mirrors) == ["my-steel"]


def test_no_image_is_kept_with_an_example():
    kinds = {
        path.suffix
        for path in EXAMPLE.parent.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kinds <= {".py", ".yaml", ".smk"}
