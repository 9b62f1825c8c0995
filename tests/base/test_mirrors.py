"""Local mirrors: the archive itself, or what a card's layout holds of a folder."""

from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.mirrors import mirror_files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def card():
    return load_dataset_card(ROOT / "datasets" / "neu-det.yaml")


def test_a_folder_gives_its_images_and_labels_in_order(card, tmp_path):
    folder = tmp_path / "my steel {2}"
    wanted = ["ANNOTATIONS/a.xml", "IMAGES/a.jpg", "IMAGES/b.jpg"]
    for name in [*wanted, "notes/readme.txt", "top.jpg"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert mirror_files(card, str(folder)) == [folder / name for name in wanted]


def test_the_mirror_may_be_the_folder_of_images_itself(card, tmp_path, monkeypatch):
    (tmp_path / "IMAGES").mkdir()
    (tmp_path / "IMAGES" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path / "IMAGES")
    assert mirror_files(card, ".") == [Path("a.jpg")]


def test_an_archive_gives_itself(card, tmp_path):
    (tmp_path / "set.zip").touch()
    assert mirror_files(card, str(tmp_path / "set.zip")) == [tmp_path / "set.zip"]


@pytest.mark.parametrize("mirror", [None, "", "https://example.org/set.zip", "/no/such/place"])
def test_addresses_and_what_is_not_there_give_nothing(card, mirror):
    assert mirror_files(card, mirror) == []
