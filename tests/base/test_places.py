"""Places: names of studies that can be folders, and folders of the first version."""

import pytest

from defectbench.base.places import fault_of_study_name, note_on_first_version


@pytest.mark.parametrize("name", ["demo", "neu-det", "cfp_2", "a.b", "prüfung"])
def test_plain_names_are_let_pass(name):
    assert fault_of_study_name(name) is None


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("", "use letters"),
        ("..", "use letters"),
        (".hidden", "use letters"),
        ("-rf", "use letters"),
        ("a/b", "use letters"),
        ("two words", "use letters"),
        ("{braces}", "use letters"),
        *((name, "no folder of a study") for name in ("data", "envs", "reference", "benchmarks")),
        *((name, "no folder of a study") for name in ("runs", "report", "logs")),
    ],
)
def test_names_that_are_no_folder_of_a_study_are_refused(name, fix):
    assert fix in (fault_of_study_name(name) or "")


def test_folders_of_the_first_version_are_named_with_the_command_that_moves_them(tmp_path):
    assert note_on_first_version(tmp_path / "none") is None
    (tmp_path / "mine" / "runs").mkdir(parents=True)
    assert note_on_first_version(tmp_path) is None
    (tmp_path / "runs").mkdir()
    (tmp_path / "report").mkdir()
    note = note_on_first_version(tmp_path)
    assert "\n" not in note
    command = note.partition("to keep them: ")[2]
    kept = f"{tmp_path}/version-0.1"
    assert command == f"mkdir -p {kept} && mv {tmp_path}/runs {tmp_path}/report {kept}/"
