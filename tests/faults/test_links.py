"""Links inside a user's folder: followed at any depth, or named."""

import os
from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, DefectBenchError
from defectbench.base.files import files_below
from defectbench.base.mirrors import mirror_files
from defectbench.data.convert import convert


def images_of(plant, said, mirror="plates"):
    return said(plant.convert(mirror) / "conversion.json")["images"]


@pytest.mark.parametrize("depth", ["", "a/", "a/b/c/"])
def test_a_linked_part_is_read(plant, said, depth):
    plant.draw("plates/line1", count=3, pattern="a_{i}.png")
    disk = plant.draw("disk/line2", count=3, pattern="b_{i}.png", side=56)
    (plant.home / "plates" / depth).mkdir(parents=True, exist_ok=True)
    (plant.home / "plates" / depth / "line2").symlink_to(disk)
    assert images_of(plant, said) == 6


def test_linked_images_and_labels_alone(plant, said):
    disk = plant.draw("disk", count=3)
    plates = plant.home / "plates"
    plates.mkdir()
    (plates / "images").symlink_to(disk / "IMAGES")
    (plates / "annotations").mkdir()
    for label in (disk / "ANNOTATIONS").iterdir():
        (plates / "annotations" / label.name).symlink_to(
            os.path.relpath(label, plates / "annotations")
        )
    assert images_of(plant, said) == 3


def test_a_linked_mirror_and_links_to_links(plant, said):
    plant.draw("disk", count=3)
    (plant.home / "one").symlink_to("disk")
    (plant.home / "two").symlink_to("one")
    assert images_of(plant, said, "two") == 3


@pytest.mark.parametrize("target", [".", "..", "IMAGES/.."])
def test_a_link_that_leads_back_adds_nothing(plant, said, target):
    plates = plant.draw("home/plates", count=3)
    (plates / "again").symlink_to(target)
    assert images_of(plant, said, "home") == 3


def test_links_that_lead_to_each_other_end(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "link").symlink_to(tmp_path / other)
    paths = {path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)}
    assert paths == {"a/file", "b/file", "a/link/file", "b/link/file"}


@pytest.mark.parametrize("place", ["IMAGES/plate_9.png", "line2", "IMAGES/itself"])
def test_a_link_that_leads_nowhere_is_named(plant, place):
    plates = plant.draw(count=2)
    gone = "itself" if place.endswith("itself") else "/disk/that/is/gone"
    (plates / place).symlink_to(gone)
    with pytest.raises(ConfigError, match=rf"{place}: link: got '{gone}'.* mount or mend"):
        plant.convert("plates")


def test_a_lock_of_an_editor_is_no_file(plant, said):
    plates = plant.draw(count=2)
    (plates / "ANNOTATIONS" / ".#plate_0.xml").symlink_to("user@machine.123")
    assert images_of(plant, said) == 2


def test_one_part_linked_twice_is_named(plant):
    plates = plant.draw("plates/line1", count=2).parent
    (plates / "latest").symlink_to("line1")
    with pytest.raises(DefectBenchError, match="keep one"):
        plant.convert("plates")


def test_the_workflow_sees_linked_files(plant):
    plates = plant.draw("plates/line1", count=2).parent
    (plates / "line2").symlink_to(plant.draw("disk", count=3, pattern="b_{i}.png"))
    card = load_dataset_card(plant.card())
    assert len(mirror_files(card, str(plates))) == 10


def test_conversion_of_a_linked_folder(plant, said):
    disk = plant.draw("disk", count=3)
    raw = plant.home / "raw"
    raw.mkdir()
    (raw / "plates").symlink_to(disk)
    convert(load_dataset_card(plant.card()), raw, plant.home / "out")
    assert said(plant.home / "out" / "conversion.json")["images"] == 3


def test_what_lies_beside_a_set_does_not_stop_it(plant, said, monkeypatch, capsys):
    plates = plant.draw(count=2)
    (plates / "notes.pdf").symlink_to("/disk/that/is/gone")
    (plates / "private").mkdir()
    listed = Path.iterdir

    def refuse(folder):
        if folder.name == "private":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert images_of(plant, said) == 2
    told = capsys.readouterr().out
    assert all(f"my-steel: {name} leads nowhere or" in told for name in ("notes.pdf", "private/*"))
    (plates / "IMAGES" / "private").mkdir()
    with pytest.raises(ConfigError, match=r"IMAGES/private: folder: .*no right to read"):
        plant.convert("plates")
