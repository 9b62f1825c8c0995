"""A study that outlasts the work on the code: pinned, cell by cell, stopped by the clock, taken up from its records."""

import datetime
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from defectbench.base.errors import BusyError
from defectbench.base.files import exclusive_lock
from reference_study import clock, in_order, keep, main, pinned_worktree, run_until, seconds_until

ROOT = Path(__file__).parents[2]
STUDY = """study: mini
blocks:
  - datasets: [demo-steel]
    protocols: [clean]
    methods: [yolox_nano, lidd_net]
    seeds: [1, 0]
    controls: [oracle]
    budget: {size: 64, epochs: 1}
"""
CELLS = [
    f"demo-steel/clean/{name}"
    for name in (
        *("control_oracle/seed0", "yolox_nano/seed0", "lidd_net/seed0"),
        *("yolox_nano/seed1", "lidd_net/seed1"),
    )
]
# it makes targets, unless the file `slow` lies above: then a child of it works for ever; `dear`: it makes one
# alone; `halts`: that happens after the first one
SNAKEMAKE = """#!/bin/bash
echo "$*" >> "$ASKED"
for target in "$@"; do
  case "$target" in
    *accuracy.json)
      if [ -e ../../../slow ]; then sleep 600 & echo $! > ../../../child; wait; fi
      mkdir -p "$(dirname "$target")"; echo '{}' > "$target"
      if [ -e ../../../dear ]; then exit 1; fi
      if [ -e ../../../halts ]; then sleep 600 & echo $! > ../../../child; wait; fi;;
  esac
done
"""
DEFECTBENCH = """#!/bin/bash
# keep-reference --out FOLDER results/mini/runs/CELL
mkdir -p "$3/${4#results/*/runs/}"; cp "$4/accuracy.json" "$3/${4#results/*/runs/}/"
"""


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the cards and recipes of all methods, one study, and stand-ins for both commands."""
    project, commands = tmp_path / "project", tmp_path / "bin"
    only = shutil.ignore_patterns("*.py", "*.smk", "__pycache__")
    shutil.copytree(ROOT / "models", project / "models", ignore=only)
    (project / "datasets").mkdir()
    shutil.copy(ROOT / "datasets" / "demo-steel.yaml", project / "datasets")
    (project / "config").mkdir()
    (project / "config" / "mini.yaml").write_text(STUDY)
    (project / ".gitignore").write_text("results/*\n!results/reference/\n")
    commands.mkdir()
    for name, text in (("snakemake", SNAKEMAKE), ("defectbench", DEFECTBENCH)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "n")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "e@example.org")
    monkeypatch.chdir(project)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "start")
    return project


def made(repository):
    """Targets that were asked of Snakemake so far."""
    asked = (repository.parent / "asked").read_text().splitlines()
    return [line.split()[-1] for line in asked if line.endswith("accuracy.json")]


def test_cells_go_by_seed_and_in_the_order_of_the_study(repository):
    assert in_order(repository, "config/mini.yaml") == CELLS


def test_methods_to_begin_with_come_first_in_each_seed(repository):
    swapped = [CELLS[0], CELLS[2], CELLS[1], CELLS[4], CELLS[3]]
    assert in_order(repository, "config/mini.yaml", ["lidd_net"]) == swapped
    whole = STUDY.replace("[yolox_nano, lidd_net]", "all").replace("[1, 0]", "[0]")
    (repository / "config" / "mini.yaml").write_text(whole)
    cells = in_order(repository, "config/mini.yaml", ["yolox_nano", "lidd_net"])
    assert cells[:3] == CELLS[:3]
    assert cells[3:] == sorted(cells[3:])
    assert len(cells) > 8


def test_a_method_to_begin_with_that_the_study_lacks_is_named(repository):
    with pytest.raises(SystemExit, match=r"--first: lid_net: config/mini\.yaml has no such method"):
        in_order(repository, "config/mini.yaml", ["lid_net", "yolox_nano"])


def test_with_two_cores_the_cells_of_a_seed_are_handed_over_together(repository):
    main(["config/mini.yaml", "--cores", "2", "--first", "lidd_net"])
    asked = (repository.parent / "asked").read_text().splitlines()
    calls = [line for line in asked if "accuracy.json" in line]
    scores = [f"results/mini/runs/{cell}/accuracy.json" for cell in CELLS]
    together = [line.rpartition("-- ")[2].split() for line in calls]
    assert list(map(sorted, together)) == [sorted(scores[:3]), sorted(scores[3:])]
    assert [re.search(r"--prioritize (\S+) --", line)[1] for line in calls] == scores[2::2]
    assert all(Path("results/reference/mini", cell, "accuracy.json").is_file() for cell in CELLS)


def test_a_cell_that_is_finished_is_kept_while_others_are_made(repository, monkeypatch, capsys):
    (repository / "halts").touch()
    monkeypatch.setattr("reference_study.seconds_until", lambda time_of_day: 6.0)
    monkeypatch.setattr("reference_study.POLL_S", 0.2)
    monkeypatch.setattr("reference_study.SETTLED_S", 0)
    seen = []

    def keep_and_look(*arguments):
        seen.append((arguments[2], (repository / "child").exists()))
        keep(*arguments)

    monkeypatch.setattr("reference_study.keep", keep_and_look)
    main(["config/mini.yaml", "--cores", "2"])
    assert seen == [(CELLS[0], True)]
    assert f"{CELLS[1]} and {CELLS[2]} goes on" in capsys.readouterr().out
    assert ends(int((repository / "child").read_text()))


def test_a_cell_that_cannot_be_kept_ends_no_other_one(repository, monkeypatch, capsys):
    (repository / "halts").touch()
    monkeypatch.setattr("reference_study.seconds_until", lambda time_of_day: 4.0)
    monkeypatch.setattr("reference_study.POLL_S", 0.2)
    monkeypatch.setattr("reference_study.SETTLED_S", 0)
    (repository.parent / "bin" / "defectbench").write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(SystemExit, match=f"{CELLS[0]} could not be kept"):
        main(["config/mini.yaml", "--cores", "2"])
    told = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("not kept yet") for line in told) > 1, "it went on, and tried again"


def test_a_study_that_no_commit_holds_is_not_pinned(repository):
    later = repository / "config" / "later.yaml"
    later.write_text(STUDY.replace("mini", "later"))
    with pytest.raises(SystemExit, match=r"later\.yaml is not in the commit.*commit it first"):
        main(["config/later.yaml"])
    git("add", "config")
    git("commit", "--quiet", "-m", "later")
    later.write_text(later.read_text() + "# a thought\n")
    with pytest.raises(SystemExit, match="was edited"):
        main(["config/later.yaml"])
    assert not Path("results/reference/later").exists()
    git("restore", "config")
    main([str(later)])
    asked = (repository.parent / "asked").read_text()
    assert "--configfile config/later.yaml " in asked, "that of the worktree, not of the checkout"
    assert all(Path("results/reference/later", cell).is_dir() for cell in CELLS)


def test_a_study_is_one_of_the_checkout_and_of_its_pinned_commit(repository, tmp_path):
    (tmp_path / "mini.yaml").write_text(STUDY)
    with pytest.raises(SystemExit, match="name a study of the checkout"):
        main([str(tmp_path / "mini.yaml")])
    pinned_worktree(Path("results/reference/mini"), "mini")
    git("mv", "config/mini.yaml", "config/renamed.yaml")
    git("commit", "--quiet", "-m", "renamed")
    with pytest.raises(SystemExit, match=r"renamed\.yaml is not in the commit.*remove"):
        main(["config/renamed.yaml"])


def test_a_control_that_a_set_has_no_grounds_for_is_not_asked_for_again(repository):
    folder = pinned_worktree(Path("results/reference/mini"), "mini")
    absent = folder / "results" / "mini" / "runs" / CELLS[0] / "accuracy.json"
    absent.parent.mkdir(parents=True)
    absent.write_text('{"figures": {"absent_because": "no two images show one box"}}')
    main(["config/mini.yaml"])
    assert [f"results/mini/runs/{cell}/accuracy.json" for cell in CELLS[1:]] == made(repository)


def test_what_is_finished_beside_a_cell_that_fails_is_kept(repository):
    (repository / "dear").touch()
    with pytest.raises(SystemExit, match=f"^{CELLS[1]} and "):
        main(["config/mini.yaml", "--cores", "2"])
    assert Path("results/reference/mini", CELLS[0], "accuracy.json").is_file()


def test_each_cell_is_made_once_and_its_records_alone_are_committed(repository):
    (repository / "edited").write_text("by another")
    git("add", "edited")
    main(["config/mini.yaml", "--commit"])
    assert made(repository) == [f"results/mini/runs/{cell}/accuracy.json" for cell in CELLS]
    assert git("log", "--format=%s").splitlines()[:-1] == [
        "Records of mini" for _ in range(len(CELLS) + 1)
    ]
    assert "edited" not in git("ls-tree", "-r", "--name-only", "HEAD")
    shutil.rmtree(repository / "results" / "pinned")  # as on another machine
    main(["config/mini.yaml", "--commit"])
    assert len(made(repository)) == len(CELLS)


def test_later_commits_do_not_reach_the_study(repository):
    records = Path("results/reference/mini")
    folder = pinned_worktree(records, "mini")
    first = git("rev-parse", "HEAD")
    (repository / "config" / "mini.yaml").write_text(STUDY.replace("epochs: 1", "epochs: 9"))
    git("commit", "--quiet", "-am", "longer")
    assert pinned_worktree(records, "mini") == folder
    assert (records / "pinned.txt").read_text().strip() == first
    assert "epochs: 1" in (folder / "config" / "mini.yaml").read_text()
    (folder / "config" / "mini.yaml").write_text("")
    with pytest.raises(SystemExit, match="was edited"):
        pinned_worktree(records, "mini")


def ends(number):
    """Whether a process ends soon: on a busy machine it takes its time."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie":
            return True
        time.sleep(0.05)
    return False


def test_the_clock_stops_a_cell_and_all_that_it_started(repository, monkeypatch, capsys):
    (repository / "slow").touch()
    monkeypatch.setattr("reference_study.seconds_until", lambda time_of_day: 4.0)
    main(["config/mini.yaml"])
    assert f"{CELLS[0]} goes on" in capsys.readouterr().out
    child = int((repository / "child").read_text())
    assert ends(child)
    assert not Path("results/reference/mini", CELLS[0]).exists()


def test_a_cell_that_fails_is_named(repository):
    (repository.parent / "bin" / "snakemake").write_text('#!/bin/bash\n[[ "$*" == *--unlock* ]]\n')
    with pytest.raises(SystemExit, match=f"{CELLS[0]} failed"):
        main(["config/mini.yaml"])


def test_time_of_the_clock():
    evening = datetime.datetime(2026, 11, 29, 19, 0)
    assert seconds_until(clock("21:30"), evening) == 9000
    assert seconds_until(clock("18:00"), evening) == 23 * 3600
    assert seconds_until(None) == float("inf")


@pytest.mark.parametrize("option", ["--until=25:00", "--until=9", "--mirror=x", "--mirror=x=gone"])
def test_options_that_say_nothing_are_refused(repository, option, capsys):
    with pytest.raises(SystemExit):
        main(["config/mini.yaml", option])
    assert "write" in (told := capsys.readouterr().err) or "a day ends" in told


def test_a_signal_reaches_what_was_started(repository):
    (repository / "slow").touch()
    script = ROOT / "benchmarks" / "reference_study.py"
    run = subprocess.Popen([sys.executable, script, "config/mini.yaml"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (repository / "child").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.terminate()
    assert run.wait(60) != 0
    child = int((repository / "child").read_text())
    assert ends(child)


def test_two_runs_of_one_study_do_not_meet(repository):
    with exclusive_lock(Path("results/pinned/.mini.lock")), pytest.raises(BusyError):
        main(["config/mini.yaml"])


def test_records_that_could_not_be_committed_are_with_the_next(repository, capsys):
    lock = repository / ".git" / "index.lock"
    lock.touch()
    main(["config/mini.yaml", "--commit"])
    assert "not committed yet" in capsys.readouterr().err
    lock.unlink()
    main(["config/mini.yaml", "--commit"])
    assert git("log", "-1", "--format=%s") == "Records of mini"
    assert not git("status", "--porcelain")


def test_a_command_that_ends_in_time_says_how(tmp_path):
    assert run_until(["true"], tmp_path, time.monotonic() + 60)
    assert not run_until(["false"], tmp_path, float("inf"))
