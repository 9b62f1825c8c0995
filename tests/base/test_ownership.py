"""Two studies of one name never write over each other's results; an edited, moved or linked one goes on."""

import json
import shutil

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.ownership import note_owner, refuse_another_owner, study_file
from defectbench.base.studies import load_study, parse_study

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


def start(file, study="z", epochs=3):
    """The same with a name or cells of a command line, and it starts; no file where that gives all."""
    block = {"datasets": ["d"], "methods": ["alpha"], "budget": {"epochs": epochs}}
    parsed = parse_study("--config", {"study": study, "blocks": [block]})
    path = study_file([file] if file else [])
    refuse_another_owner(parsed, path)
    note_owner(parsed, path)


def test_the_owner_is_noted_beside_its_results(home):
    noted = json.loads((home / "results/t/study.json").read_text())
    assert (noted["file"], noted["name"], len(noted["cells_sha256"])) == ("a.yaml", "t", 64)


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
    (home / "weights.yaml").write_text(STUDY + "weights_mirror: /y\n")
    for name in ("link.yaml", "there/a.yaml", "mirrors.yaml", "weights.yaml"):
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


def test_two_files_under_one_name_of_the_command_line_are_two_studies(home):
    (home / "nameless.yaml").write_text(STUDY.partition("\n")[2])
    start("a.yaml")
    with pytest.raises(ConfigError, match=r"nameless.yaml: study: got 'z'; results/z .* a.yaml"):
        start("nameless.yaml", epochs=1)
    start("nameless.yaml")  # it says the same
    with pytest.raises(ConfigError, match=r"results/z holds the results of nameless.yaml"):
        start("a.yaml", epochs=1)


def test_a_file_that_is_run_under_another_name_and_edited_goes_on(home):
    start("a.yaml", epochs=3)
    start("a.yaml", epochs=5)


def test_a_study_of_the_command_line_alone_has_an_owner(home):
    start(None, epochs=3)
    start(None, epochs=5)
    with pytest.raises(ConfigError, match=r"a.yaml: study: got 'z'; .* results of a command line"):
        start("a.yaml", epochs=3)
    start("a.yaml", epochs=5)
    with pytest.raises(ConfigError, match=r"--config: study: got 'z'; .* results of a.yaml"):
        start(None, epochs=3)
    start(None, epochs=5)


@pytest.mark.parametrize("note", ["[]", "", "{", "null", '{"file": 3}', '{"cells_sha256": "x"}'])
def test_a_damaged_note_is_named_with_what_mends_it(home, note):
    (home / "results/t/study.json").write_text(note)
    with pytest.raises(ConfigError, match=r"results/t/study.json: content: .*, delete it"):
        run("a.yaml")


def test_a_note_of_an_earlier_version_lets_go_on(home):
    (home / "results/t/study.json").write_text('{"file": "a.yaml"}')
    run("a.yaml")
