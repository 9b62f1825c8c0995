"""Where results are written: nothing that a user keeps, and no input of the step itself, is replaced by them."""

import os
from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, FileAccessError, ReportError
from defectbench.base.files import MADE_BY_WORKFLOW, atomic_write_text, refuse_others_files
from defectbench.base.records import write_record
from defectbench.cli import main
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert
from defectbench.data.synthetic import synthesize
from defectbench.deploy.predict import predict
from defectbench.report.reference import keep_reference
from defectbench.report.render import render_report


@pytest.fixture
def mine(tmp_path):
    """A folder of a user, and a check that it is as it was."""
    folder = tmp_path / "mine"
    for name in ("photo.png", "raw/photo.png", "images/photo.png", "figures/plot.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    yield folder
    assert {path: path.read_bytes() for path in before} == before


REPLACED = "nothing shows that it was made here"


def test_a_folder_of_a_user_is_not_replaced_by_a_drawn_set(mine):
    with pytest.raises(FileAccessError, match=f"mine: content: got '.*{REPLACED}"):
        synthesize(mine, images=2)
    assert main(["synthesize", "--out", str(mine)]) == 2


def test_a_drawn_set_and_an_empty_folder_are_replaced(tmp_path):
    (tmp_path / "set").mkdir()
    for seed in (0, 1):
        synthesize(tmp_path / "set", seed=seed, images=2, size=128)


def test_raw_data_of_a_user_are_not_replaced(plant, mine):
    plant.draw(count=2)
    card = load_dataset_card(plant.card())
    with pytest.raises(FileAccessError, match=f"raw: content: got 'photo.png'; .*{REPLACED}"):
        acquire(card, mine, plant.home / "plates")
    acquire(card, plant.home / "out", plant.home / "plates")
    acquire(card, plant.home / "out", plant.home / "plates")


@pytest.mark.parametrize("kept", ["images", "annotations.json"])
def test_images_and_annotations_of_a_user_are_not_replaced(plant, mine, kept):
    plant.draw(count=2)
    card = load_dataset_card(plant.card())
    acquire(card, plant.home / "out", plant.home / "plates")
    if kept == "annotations.json":
        (plant.home / "coco").mkdir()
        (plant.home / "coco" / kept).write_text("{}")
    target = mine if kept == "images" else plant.home / "coco"
    with pytest.raises(FileAccessError, match=f"{kept}: content: .*{REPLACED}"):
        convert(card, plant.home / "out" / "raw", target)
    for _ in range(2):
        convert(card, plant.home / "out" / "raw", plant.home / "out")


def test_figures_and_a_page_of_a_user_are_not_replaced(mine, tmp_path):
    with pytest.raises(FileAccessError, match=f"figures: content: got 'plot.png'; .*{REPLACED}"):
        render_report([tmp_path], mine, "s")
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(FileAccessError, match=f"index.html: content: .*{REPLACED}"):
        render_report([tmp_path], site, "s")


def test_what_snakemake_noted_as_an_output_is_replaced(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FileAccessError, match="a: content"):
        refuse_others_files(tmp_path / "a")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.png").touch()
    (tmp_path / "raw" / MADE_BY_WORKFLOW).touch()
    refuse_others_files(tmp_path / "raw", tmp_path / "source.json")
    refuse_others_files(tmp_path / "none", tmp_path / "source.json")


def test_an_output_is_no_input_of_its_own(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text("[]")
    (tmp_path / "link.json").symlink_to(path)
    for name in ("predictions.json", "link.json"):
        with pytest.raises(ConfigError, match=f"{name}: output: got 'one of its inputs'"):
            write_record(tmp_path / name, "accuracy", {}, {"predictions": path})
    with pytest.raises(ConfigError, match="output: got 'one of its inputs'"):
        predict(path, tmp_path / "pack", path)
    with pytest.raises(ConfigError, match="output: got 'one of its inputs'"):
        predict(tmp_path / "model", path, path)
    assert path.read_text() == "[]"


def test_cells_are_not_replaced_by_what_is_kept_of_them(tmp_path, monkeypatch):
    from defectbench.report import reference

    class Cell:
        dataset, protocol, method = "steel", "clean", "net"
        folder = tmp_path / "steel" / "clean" / "net" / "seed0"

    Cell.folder.mkdir(parents=True)
    (Cell.folder / "model.onnx").touch()
    monkeypatch.setattr(reference, "find_cells", lambda *_: [Cell])
    monkeypatch.setattr(reference, "scored_files", lambda _: {})
    with pytest.raises(ReportError, match="--out: got 'the folder of the cells'"):
        keep_reference([tmp_path], tmp_path)
    assert (Cell.folder / "model.onnx").is_file()


def test_a_pipe_or_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(
            FileAccessError, match=f"{name}: kind of file: got 'a device or a pipe'"
        ):
            atomic_write_text(tmp_path / name, "text")
    assert (tmp_path / "null").is_symlink()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_an_output_without_a_name_is_named(name):
    with pytest.raises(FileAccessError, match="Is a directory"):
        atomic_write_text(Path(name), "text")


def test_a_mirror_that_holds_its_own_results_is_refused(plant, monkeypatch):
    plant.draw(count=2)
    card = load_dataset_card(plant.card())
    monkeypatch.chdir(plant.home)
    for mirror in (".", "results", str(plant.home / "results" / "data" / "my-steel")):
        with pytest.raises(
            ConfigError, match=r"mirror: got 'it holds .*my-steel'; what is made of it"
        ):
            acquire(card, "results/data/my-steel", mirror)
    acquire(card, "results/data/my-steel", "plates")
