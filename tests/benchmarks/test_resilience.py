"""Cut and finished: what is compared and masked, how moments are drawn and cuts counted, and five real cuts."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import save_file

from defectbench.base.records import read_record
from disturbances import KINDS, Stage, kill, set_clock_back
from resilience import BEFORE, Whole, as_it_was, figures_of
from same_results import MASKED, contents, differences, digest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "resilience.py"


def write_results(folder, score=0.5, seconds=1.0, tensor=1.0):
    import numpy as np

    cell = folder / "runs" / "cell"
    (cell / "checkpoint").mkdir(parents=True)
    record = {"figures": {"map50": score, "train_s": seconds}, "created": str(seconds)}
    (cell / "accuracy.json").write_text(json.dumps(record))
    (cell / "history.csv").write_text(f"loss,images_per_s\n{score},{seconds}\n")
    (cell / "predictions.json").write_text(json.dumps([{"score": score}]))
    arrays = {"w": np.full(3, tensor, np.float32)}
    save_file(arrays, cell / "weights.safetensors", {"certificate_sha256": str(seconds)})
    (cell / "checkpoint" / "last.safetensors").write_bytes(str(seconds).encode())
    (folder / "report").mkdir()
    (folder / "report" / "table.csv").write_text(f"map50,fps\n{score},{seconds}\n")
    (folder / "report" / "table.md").write_text(str(seconds))
    return folder


def test_times_are_masked_by_name_and_all_else_is_compared(tmp_path):
    first = contents(write_results(tmp_path / "first"))
    assert differences(first, contents(write_results(tmp_path / "later", seconds=9.0))) == []
    cells = [f"runs/cell/{n}" for n in ("accuracy.json", "history.csv", "predictions.json")]
    other = contents(write_results(tmp_path / "other", score=0.6))
    assert differences(first, other) == ["report/table.csv", *cells]
    moved = contents(write_results(tmp_path / "moved", tensor=1.0000001))
    assert differences(first, moved) == ["runs/cell/weights.safetensors"]
    assert digest(first) != digest(moved)


def test_a_file_that_is_missing_damaged_or_too_much_is_a_difference(tmp_path):
    first = contents(write_results(tmp_path / "first"))
    second = write_results(tmp_path / "second")
    cell = second / "runs" / "cell"
    (cell / "history.csv").unlink()
    (cell / "accuracy.json").write_text('{"figures": {"map50"')
    (cell / ".model.1234.part.onnx").write_bytes(b"half")
    names = [".model.1234.part.onnx", "accuracy.json", "history.csv"]
    assert differences(first, contents(second)) == [f"runs/cell/{name}" for name in names]


def test_no_score_is_masked():
    assert not [n for n in MASKED if "map" in n or "loss" in n or "score" in n or "weights" in n]


def a_whole(folder, **starts):
    born = {job: int(1e9 * start) for job, start in starts.items()}
    return Whole(folder, {}, {BEFORE: 0.0, **starts}, {BEFORE: 0, **born}, wall_s=10.0)


def test_moments_are_drawn_evenly_and_again_with_the_same_seed(tmp_path):
    whole = a_whole(tmp_path, convert=1.0, train=2.0, report=8.0)
    rng = random.Random("0/17")
    moments = [whole.draw(rng) for _ in range(4000)]
    assert moments[0] == whole.draw(random.Random("0/17"))
    shares = {job: sum(m.job == job for m in moments) / 4000 for job in whole.starts}
    expected = {BEFORE: 0.1, "convert": 0.1, "train": 0.6, "report": 0.2}
    assert shares == pytest.approx(expected, abs=0.03)
    assert all(0 <= m.after_s <= 6 for m in moments if m.job == "train")


def test_a_run_starts_from_what_was_there_when_its_job_began(tmp_path):
    folder = tmp_path / "whole"
    for name, second in (("results/raw", 1.0), ("results/pack", 2.5), ("results/weights", 6.0)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (second, second))
    whole = a_whole(folder, acquire=0.5, pack=2.0, train=5.0)
    as_it_was(whole, "train", tmp_path / "later")
    assert sorted(p.name for p in (tmp_path / "later/results").iterdir()) == ["pack", "raw"]
    as_it_was(whole, "acquire", tmp_path / "first")
    assert not (tmp_path / "first/results").exists()


def test_cuts_are_counted_by_hand(tmp_path):
    cut = {"kind": "killed", "job": "a", "equal": True, "unlocked": True, "half_trained": False}
    cuts = [{**cut, "run_ended_with": -9}, {**cut, "job": "b", "equal": False, "run_ended_with": 0}]
    figures = figures_of(cuts, a_whole(tmp_path, b=1.0, a=2.0))
    assert (figures["n_cuts"], figures["n_equal"], figures["n_unlocked"]) == (2, 1, 2)
    assert figures["by_kind"] == {"killed": {"n": 2, "equal": 1, "runs_that_failed": 1}}
    assert list(figures["by_job"]) == ["b", "a"]


def test_a_kill_ends_all_of_a_group(tmp_path):
    command = "sleep 600 & echo $!; sleep 600 & echo $!; wait"
    run = subprocess.Popen(
        ["sh", "-c", command], process_group=0, stdout=subprocess.PIPE, text=True
    )
    started = [int(run.stdout.readline()) for _ in range(2)]
    assert all(psutil.pid_exists(pid) for pid in started)
    kill(Stage(tmp_path, tmp_path, run.pid, tmp_path / "offset"))
    assert run.wait() == -9
    # those that nobody waits for are cleared away by the system, sooner or later
    left = [psutil.Process(pid).status() for pid in started if psutil.pid_exists(pid)]
    assert set(left) <= {psutil.STATUS_ZOMBIE}


def test_a_clock_set_back_leaves_older_files_in_the_future(tmp_path):
    made, given = tmp_path / "results" / "made.txt", tmp_path / "given.txt"
    made.parent.mkdir()
    for path in (made, given):
        path.touch()
    set_clock_back(Stage(tmp_path, tmp_path, 0, tmp_path / "offset"))
    assert (tmp_path / "offset").read_text() == "-10800\n"
    assert made.stat().st_mtime > time.time() + 10_000
    assert given.stat().st_mtime <= time.time()


def test_five_cuts_end_in_the_bits_of_an_undisturbed_run(tmp_path):
    """Takes a minute of a core and more: it is six runs of a study."""
    out = tmp_path / "five.json"
    command = [sys.executable, str(SCRIPT), "--times", "5", "--seed", "1", "--out", str(out)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    record = read_record(out, "resilience")
    figures = record["figures"]
    assert figures["n_cuts"] == figures["n_equal"] == 5
    kinds = set(figures["by_kind"])
    left_out = {kind for kind in KINDS if f"left out: {kind}:" in run.stdout}
    assert kinds == set(KINDS) - left_out
    assert all(cut["status"] == 0 for cut in record["cuts"])


KEPT = sorted((ROOT / "results" / "reference" / "resilience").glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_kept_record_says_that_all_cuts_ended_alike(path):
    figures = read_record(path, "resilience")["figures"]
    assert figures["n_cuts"] == figures["n_equal"] >= 5
    assert set(figures["by_kind"]) == set(KINDS)
