"""Sets that an installed package carries."""

import importlib
from pathlib import Path

import pytest
from steel_like import card, files_of, write_steel_like

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ArchiveError, ConfigError
from defectbench.base.mirrors import made_of, mirror_state
from defectbench.base.records import read_record
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that carries the set, and its folder."""
    folder = tmp_path / "site" / "steel_package"
    write_steel_like(folder / "data")
    (folder / "__init__.py").write_text("raise RuntimeError('nobody imports it')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def package_card(name="steel_package"):
    source = {"kind": "package", "package": name, "place_here": "pip install steel"}
    return card(source=source)


def test_a_package_is_copied_without_being_imported(package, tmp_path):
    out = tmp_path / "out"
    acquire(package_card(), out)
    before = {f"steel_package/{name}": digest for name, digest in files_of(package).items()}
    assert files_of(out / "raw").items() < before.items()
    assert read_record(out / "source.json", "source")["origin"] == "local folder steel_package"
    convert(package_card(), out / "raw", out)


def test_what_the_package_holds_is_an_input(package, tmp_path):
    out = tmp_path / "out"
    assert mirror_state(package_card(), None, out)[1] is False
    acquire(package_card(), out)
    state, is_unchanged = mirror_state(package_card(), None, out)
    assert (len(state), is_unchanged, made_of(out)) == (64, True, state)
    (package / "__init__.py").write_text("changed = 'but none of the set'\n")
    assert mirror_state(package_card(), None, out) == (state, True)
    label = next((package / "data" / "ANNOTATIONS").glob("*.xml"))
    label.write_text(label.read_text() + " ")
    assert mirror_state(package_card(), None, out)[1] is False
    acquire(package_card(), out)
    assert mirror_state(package_card(), None, out)[1] is True


def test_data_outlive_the_package(package, tmp_path):
    out = tmp_path / "out"
    acquire(package_card(), out)
    state, _ = mirror_state(package_card(), None, out)
    package.rename(package.with_name("gone"))
    importlib.invalidate_caches()
    assert mirror_state(package_card(), None, out) == (state, True)
    assert mirror_state(package_card(), None, tmp_path / "new") == ("", False)


def test_the_version_of_the_package_is_recorded(package, tmp_path):
    info = package.parent / "steel_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: steel-package\nVersion: 1.2\n")
    (info / "top_level.txt").write_text("steel_package\n")
    acquire(package_card(), tmp_path / "out")
    assert read_record(tmp_path / "out" / "source.json", "source")["package_version"] == "1.2"


@pytest.mark.parametrize("name", ["", ".", "no.such.package", "csv.reader"])
def test_a_name_of_no_package_is_named(name, tmp_path):
    with pytest.raises(ConfigError, match="it is not installed; pip install steel"):
        acquire(package_card(name), tmp_path / "out")


def test_a_mirror_wins_over_the_package(package, tmp_path):
    home = write_steel_like(tmp_path / "home" / "SET")
    acquire(package_card("not_installed"), tmp_path / "out", mirror=home)
    assert (tmp_path / "out" / "raw" / "SET").is_dir()


@pytest.mark.parametrize("name", ["not_installed", "csv"])
def test_a_package_that_is_not_there_is_named(name, tmp_path):
    message = f"package: got '{name}'; it is not installed; pip install steel"
    with pytest.raises(ConfigError, match=message):
        acquire(package_card(name), tmp_path / "out")
    assert not (tmp_path / "out" / "raw").exists()


def test_a_package_without_the_set_is_named(package, tmp_path):
    (package / "data" / "IMAGES").rename(package / "data" / "elsewhere")
    with pytest.raises(ArchiveError, match="images in a folder IMAGES"):
        acquire(package_card(), tmp_path / "out")


def test_the_installed_elpv_becomes_its_registered_counts(tmp_path):
    pytest.importorskip("elpv_dataset", reason="pip install 'defectbench[elpv]'")
    elpv = load_dataset_card(Path(__file__).parents[2] / "datasets" / "elpv.yaml")
    acquire(elpv, tmp_path)
    convert(elpv, tmp_path / "raw", tmp_path)
    assert len(list((tmp_path / "images").iterdir())) == 2624
