"""What the pages on adding copy: a data set, from a folder to certified parts, and a method under a new name."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.methods import load_card, load_method, method_names
from defectbench.base.studies import load_study
from defectbench.data.acquire import acquire
from defectbench.data.certificate import certify
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split
from defectbench.data.synthetic import synthesize

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_steel"


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


def shell_blocks(page):
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def run_block(text, folder):
    subprocess.run(["bash", "-e", "-u"], input=text, cwd=folder, text=True, check=True)


def test_the_method_is_copied_renamed_and_taken_out_by_the_lines_of_its_page(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "models").mkdir()
    blocks = shell_blocks(ROOT / "docs" / "add-a-model.md")
    copy, rename, removal = (
        next(block for block in blocks if line in block)
        for line in ("cp -r examples/my_net", "name=your_net", "rm -r models/my_net")
    )
    run_block(copy, tmp_path)
    run_block(rename, tmp_path)
    folder = tmp_path / "models" / "your_net"
    assert method_names(tmp_path / "models") == ["your_net"]
    assert load_card(folder).name == "your_net"
    assert load_method("your_net", tmp_path / "models").module.build(3).nc == 3
    files = [path for path in folder.iterdir() if path.is_file()]
    assert not [path for path in files if "my_net" in f"{path} {path.read_text()}"]
    (tmp_path / "results" / "demo" / "runs" / "demo-steel" / "clean" / "my_net").mkdir(parents=True)
    run_block(copy, tmp_path)
    run_block(removal, tmp_path)
    assert method_names(tmp_path / "models") == ["your_net"]
    assert not list(tmp_path.glob("results/*/runs/*/*/my_net"))


def test_no_image_is_kept_with_an_example():
    kinds = {
        path.suffix
        for path in EXAMPLE.parent.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kinds <= {".py", ".yaml", ".smk"}
