"""What a user's mirror holds is an input by its content: corrected is seen, touched is not."""

import os
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError
from defectbench.base.mirrors import (
    MIRROR_HASHES,
    made_of,
    mirror_digest,
    mirror_state,
    note_on_shared_data,
)


def state(card, mirror, data):
    return mirror_state(card, mirror, data)[0]


def is_unchanged(card, mirror, data):
    return mirror_state(card, mirror, data)[1]


@pytest.fixture
def made(plant):
    """A set that was acquired from a folder: its card, the mirror and its data."""
    plates = plant.draw(count=3)
    data = plant.convert("plates")
    return load_dataset_card(plant.card()), str(plates), data


def change_label(plates, keep_times=False):
    path = next(path for path in sorted((plates / "ANNOTATIONS").iterdir()))
    before = path.stat()
    path.write_text(path.read_text("utf-8").replace("pit", "PIT"), encoding="utf-8")
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


def test_data_know_what_they_were_made_of(made):
    data = made[2]
    assert is_unchanged(*made)
    assert made_of(data) == state(*made) == mirror_digest(*made)
    assert len(made_of(data)) == 64


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_corrected_label_is_seen(made, plant, keep_times):
    before = state(*made)
    change_label(plant.home / "plates", keep_times)
    assert not is_unchanged(*made)
    assert state(*made) != before


def test_a_replaced_picture_an_added_and_a_removed_file_are_seen(made, plant):
    seen = [state(*made)]
    image = plant.home / "plates" / "IMAGES" / "plate_0.png"
    image.write_bytes((image.parent / "plate_1.png").read_bytes())
    seen.append(state(*made))
    (image.parent / "plate_9.png").write_bytes(b"new")
    seen.append(state(*made))
    image.unlink()
    seen.append(state(*made))
    image.parent.joinpath("plate_9.png").rename(image.parent / "plate_8.png")
    seen.append(state(*made))
    assert len(set(seen)) == len(seen)


def test_a_touched_or_foreign_file_changes_nothing(made, plant):
    for path in (plant.home / "plates").rglob("*"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    (plant.home / "plates" / "notes.txt").write_text("not of the set")
    assert is_unchanged(*made)


def test_files_are_read_again_only_when_touched(made, plant, monkeypatch):
    state(*made)
    read = []
    monkeypatch.setattr(
        "defectbench.base.mirrors.sha256_file", lambda path: read.append(path.name) or "0"
    )
    state(*made)
    assert read == []
    change_label(plant.home / "plates", keep_times=True)
    state(*made)
    assert read == ["plate_0.xml"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3', b"\xff"])
def test_damaged_notes_cost_time_only(made, content):
    before = state(*made)
    (made[2] / MIRROR_HASHES).write_bytes(content)
    assert state(*made) == before


def test_an_archive_of_the_same_name_is_seen(plant):
    plates = plant.draw(count=3)
    archive = plant.home / "set.zip"

    def pack_again():
        with zipfile.ZipFile(archive, "w") as content:
            for path in sorted(plates.rglob("*.*")):
                content.write(path, path.relative_to(plant.home))
        os.utime(archive, (1_000_000_000, 1_000_000_000))  # an older one, by its time

    pack_again()
    data = plant.convert("set.zip")
    card = load_dataset_card(plant.card())
    assert is_unchanged(card, str(archive), data)
    change_label(plates)
    pack_again()
    assert not is_unchanged(card, str(archive), data)


@pytest.mark.parametrize("mirror", [None, "https://host/set.zip"])
def test_without_a_local_mirror_there_is_nothing_to_watch(made, mirror):
    assert state(made[0], mirror, made[2]) == ""
    assert not is_unchanged(made[0], mirror, made[2])


def test_a_mirror_that_is_gone_is_named_before_its_data_are(made, plant):
    """Snakemake takes away what it makes again."""
    card, mirror, data = made
    (plant.home / "plates").rename(plant.home / "elsewhere")
    with pytest.raises(ConfigError, match=r"plates: mirror: got 'nothing'; .* mount it again"):
        mirror_state(card, mirror, data)
    assert mirror_state(card, "/no/such/folder", plant.home / "new") == ("", False)


def test_a_mirror_whose_folders_have_other_names_is_told(made, plant):
    card, mirror, data = made
    plates = plant.home / "plates"
    (plates / "IMAGES").rename(plates / "PHOTOS")
    (plates / "ANNOTATIONS").rename(plates / "XML")
    with pytest.raises(
        ConfigError, match=r"got 'files in PHOTOS, XML'; my-steel needs IMAGES, ANNOT"
    ):
        mirror_state(card, mirror, data)


def test_a_home_that_there_is_not_is_named(made):
    with pytest.raises(ConfigError, match="mirror: got '~nobodyx'; there is no such user"):
        mirror_state(made[0], "~nobodyx/plates", made[2])


def test_data_of_an_earlier_version_stand_until_a_file_is_younger(made, plant):
    data = made[2]
    record = (data / "source.json").read_text("utf-8")
    (data / "source.json").write_text(record.replace("mirror_sha256", "other"), encoding="utf-8")
    for path in (plant.home / "plates").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert state(*made) == ""
    change_label(plant.home / "plates")
    assert len(state(*made)) == 64


# Data that studies share


def finish_cells(results, study, count, dataset="my-steel"):
    for seed in range(count):
        record = results / study / "runs" / dataset / "clean" / "oracle" / f"seed{seed}"
        record.mkdir(parents=True)
        (record / "accuracy.json").touch()


def test_results_of_other_studies_on_data_that_are_made_anew_are_told(made, plant):
    card, _, data = made
    results = data.parents[1]

    def note(study):
        return note_on_shared_data(card, data, study, results)

    assert note("b") is None
    finish_cells(results, "a", 2)
    finish_cells(results, "c", 1)
    finish_cells(results, "d", 1, dataset="other-steel")
    told = note("b")
    assert "\n" not in told
    assert f"{data} is made anew, since what study b takes my-steel from holds something" in told
    assert "(local folder plates): finished cells on it, 2 of study a and 1 of study c, are" in told
    assert "2 of study a, are" in note("c")
    assert note_on_shared_data(card, plant.home / "new", "b", results) is None


ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "models", "reports")


@pytest.mark.e2e
def test_the_workflow_sees_what_was_mended_after_an_error_and_no_touch(plant, said, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for name in LINKS:
        (plant.home / name).symlink_to(ROOT / name)
    plates = plant.draw("my steel's (2)/plates", count=6)
    plant.card()
    block = {"datasets": ["my-steel"], "methods": [], "controls": ["oracle"]}
    study = {"study": "mine", "blocks": [block]}
    study["mirrors"] = {"my-steel": str(plates.parent)}
    (plant.home / "mine.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    report = plant.home / "results" / "data" / "my-steel" / "conversion.json"

    def run():
        goal = report.relative_to(plant.home).as_posix()
        return snakemake(plant.home, goal, "--configfile", "mine.yaml")

    label = plates / "ANNOTATIONS" / "plate_0.xml"
    right = label.read_text("utf-8")
    label.write_text(right.replace("pit", "Pit"), encoding="utf-8")
    status, told = run()
    assert (status, "object.name: got 'Pit'" in told) == (1, True)
    label.write_text(right, encoding="utf-8")
    os.utime(label, (1_000_000_000, 1_000_000_000))  # copied back with its old time
    assert run()[0] == 0
    assert said(report)["boxes_per_class"] == {"pit": 3, "scratch": 3}
    link = plates / "line2"
    link.symlink_to("/disk/that/is/gone")
    status, told = run()
    assert (status, "line2: link: got '/disk/that/is/gone'" in told) == (1, True)
    link.unlink()
    for path in plates.rglob("*.*"):
        os.utime(path)
    status, told = run()
    assert (status, "Nothing to be done" in told) == (0, True)


@pytest.mark.e2e
def test_two_studies_with_different_mirrors_of_one_set(plant, said, monkeypatch):
    """The second is told whose results stand on the data that it makes anew; the first, when its turn comes again."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for name in LINKS:
        (plant.home / name).symlink_to(ROOT / name)
    plant.draw("first", count=20)
    plant.draw("second", count=24)
    plant.card()
    data = plant.home / "results" / "data" / "my-steel"

    def run(study, mirror, *options):
        block = {"datasets": ["my-steel"], "methods": [], "controls": ["oracle"]}
        content = {"study": study, "blocks": [block], "mirrors": {"my-steel": mirror}}
        (plant.home / f"{study}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        status, told = snakemake(plant.home, "scores", "--configfile", f"{study}.yaml", *options)
        assert status == 0, told
        return told

    assert "is made anew" not in run("a", "first")
    hashes = [said(data / "source.json")["mirror_sha256"]]
    told = run("b", "second", "--dry-run")
    assert told.count("study b takes my-steel from holds something else") == 1
    assert "(local folder first): finished cells on it, 1 of study a, are made anew" in told
    assert "Nothing to be done" in run("a", "first")
    run("b", "second")
    hashes.append(said(data / "source.json")["mirror_sha256"])
    assert "(local folder second): finished cells on it, 1 of study b" in run("a", "first", "-n")
    assert len(set(hashes)) == 2
    assert said(data / "annotations.json")["images"][-1]["id"] == 24
