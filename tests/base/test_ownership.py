"""Two study files of one name never write over each other's results; an edited, moved or linked one goes on."""

import json
import shutil

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.ownership import note_owner, refuse_another_owner, study_file
from defectbench.base.studies import load_study

STUDY = "study: t\nblocks: [{datasets: [d], methods: [alpha], budget: {epochs: 3}}]\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(STUDY)
    note_owner(load_study("a.yaml"), tmp_path / "a.yaml")
    return tmp_path


def run(name):
    """What a run of the workflow checks; it notes the owner once it starts."""
    refuse_another_owner(load_study(name), study_file([name]))


def test_the_owner_is_noted_beside_its_results(home):
    assert json.loads((home / "results/t/study.json").read_text()) == {"file": "a.yaml"}


def test_a_changed_copy_that_bears_the_name_is_refused(home):
    (home / "b.yaml").write_text(STUDY.replace("epochs: 3", "epochs: 1"))
    with pytest.raises(ConfigError, match=r"b.yaml: study: got 't'; results/t holds .* a.yaml"):
        run("b.yaml")


def test_an_edited_study_goes_on_in_its_folder(home):
    (home / "a.yaml").write_text(STUDY.replace("epochs: 3", "epochs: 9"))
    run("a.yaml")


def test_a_link_an_equal_copy_and_other_mirrors_are_the_same_study(home):
    (home / "link.yaml").symlink_to("a.yaml")
    (home / "there").mkdir()
    shutil.copy("a.yaml", "there/a.yaml")
    (home / "mirrors.yaml").write_text(STUDY + "mirrors: {d: /x}\n")
    for name in ("link.yaml", "there/a.yaml", "mirrors.yaml"):
        run(name)


@pytest.mark.parametrize("left", [None, "study: other\nblocks: [{datasets: [d]}]\n", "study: ["])
def test_an_owner_that_is_gone_or_bears_another_name_lets_go(home, left):
    (home / "b.yaml").write_text(STUDY.replace("epochs: 3", "epochs: 1"))
    (home / "a.yaml").unlink()
    if left:
        (home / "a.yaml").write_text(left)
    run("b.yaml")


def test_the_file_that_names_the_study_is_the_last_that_does(home):
    (home / "machine.yaml").write_text("mirrors: {d: /x}\n")
    assert study_file(["a.yaml", "machine.yaml"]).name == "a.yaml"
    assert study_file(["machine.yaml"]) is None


def test_a_name_that_stands_twice_in_a_study_is_told_though_yaml_takes_the_last(home):
    (home / "twice.yaml").write_text(STUDY + "blocks: [{datasets: [d]}]\n")
    with pytest.raises(ConfigError, match="blocks stands twice, and one of the two"):
        study_file(["twice.yaml"])
