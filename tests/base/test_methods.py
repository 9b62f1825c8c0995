"""A method's folder is a package: its files import one another, and no two methods mix."""

import shutil
import sys

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method

ENTRY = "from .blocks import WIDTH\n\n\ndef build(nc):\n    return WIDTH * nc\n"


@pytest.fixture
def models(tmp_path, request):
    """Two methods whose folders hold a file of the same name."""
    for name, width in (("narrow", 2), ("wide", 8)):
        folder = tmp_path / name
        folder.mkdir()
        source = request.config.rootpath / "models" / "lidd_net"
        shutil.copy(source / "recipe.yaml", folder)
        text = (source / "card.yaml").read_text().replace("name: lidd_net", f"name: {name}")
        (folder / "card.yaml").write_text(text)
        (folder / f"{name}.py").write_text(ENTRY)
        (folder / "blocks.py").write_text(f"WIDTH = {width}\n")
    return tmp_path


def test_files_of_one_folder_import_one_another_and_those_of_two_stay_apart(models):
    loaded = {name: load_method(name, models) for name in ("narrow", "wide")}
    assert [method.module.build(3) for method in loaded.values()] == [6, 24]
    assert sys.modules["defectbench_models.narrow.blocks"].WIDTH == 2
    assert sys.modules["defectbench_models.wide.blocks"].WIDTH == 8


def test_a_folder_elsewhere_of_the_same_name_is_loaded_anew(models, tmp_path):
    assert load_method("wide", models).module.build(1) == 8
    shutil.copytree(models / "wide", tmp_path / "other" / "wide")
    (tmp_path / "other" / "wide" / "blocks.py").write_text("WIDTH = 16  # elsewhere\n")
    assert load_method("wide", tmp_path / "other").module.build(1) == 16


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "from .block import WIDTH\n",
            r"wide\.py: content: got .*wide\.block'.*from \.file import",
        ),
        ("def build(nc)\n", r"wide\.py: content: got .*expected ':'"),
        ("WIDTH = 1\n", r"build: got None"),
    ],
)
def test_an_entry_that_cannot_be_imported_is_a_named_error(models, text, match):
    (models / "wide" / "wide.py").write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_method("wide", models)


def test_a_folder_without_its_entry_is_a_named_error(models):
    (models / "wide" / "wide.py").unlink()
    with pytest.raises(ConfigError, match="write the network there"):
        load_method("wide", models)
