"""The gate tells each planted fault by its row, and is quiet where nothing changed, on a loaded machine too."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gate_cells import OPERATORS, GateStudy, write_chain
from tests.measure.race_cases import make_answer

from defectbench.base.errors import ReportError
from defectbench.base.files import sha256_file
from defectbench.base.studies import LatencySettings
from defectbench.cli import main
from defectbench.measure import race as race_module
from defectbench.measure import race_versions as versions
from defectbench.report import gate as gate_module
from defectbench.report.gate import LOG, RACED, SAME_FILE, GateSettings, hold_gate, renew
from defectbench.report.reference import keep_reference

# as few blocks as a ratio needs
SHORT = LatencySettings(processes=2, rounds=12, block_calls=3, warmup=3, burst_calls=0)
TIMED = GateSettings(spread=None, latency=SHORT)


@pytest.fixture
def study(tmp_path):
    """A study with two methods and a control."""
    made = GateStudy(tmp_path / "new")
    for method in ("alpha", "beta"):
        made.add(method)
    made.shelf.control("memoriser", 0.1)
    return made


@pytest.fixture
def reference(study, tmp_path):
    """What is kept of it, model files as well."""
    keep_reference([study.runs], tmp_path / "reference", with_files=True)
    return tmp_path / "reference"


@pytest.fixture
def no_race(monkeypatch):
    """The pairs that would have raced."""
    pairs = []

    def race(entries, settings):
        pairs.extend(entries)
        return [versions.VersionRatio(1.0, 0.99, 1.01) for _ in entries]

    monkeypatch.setattr(gate_module, "race_versions", race)
    return pairs


# It imports nothing and ends by itself, so that it costs what it burns and outlives no test.
LOAD = """
import time
while time.process_time() < 6:
    end = time.process_time() + 0.2
    while time.process_time() < end:
        sum(range(1000))
    time.sleep(0.2)
"""


@contextmanager
def load():
    """A process that keeps a processor busy, by turns."""
    process = subprocess.Popen([sys.executable, "-c", LOAD])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_study_that_is_its_reference_passes_and_nothing_is_timed(study, reference, no_race):
    gate = hold_gate(study.runs, reference)
    assert gate.lines == []
    assert no_race == []
    assert [c.time_by for c in gate.changes] == [SAME_FILE, SAME_FILE, ""]
    assert "Speed: time after over before, of 2 of 2 methods" in gate.table.notes[0]


def test_weights_that_differ_are_told_by_their_row(study, reference, no_race):
    study.add("beta", weight=0.7)  # as without a term of its loss
    gate = hold_gate(study.runs, reference)
    assert gate.lines == ["beta (steel, clean): weights of seed 0 differ"]
    assert len(no_race) == 1


def test_one_multiply_add_more_is_told_by_its_row(study, reference, no_race):
    study.add("beta", one_more=True)
    (line,) = hold_gate(study.runs, reference).lines
    assert line.startswith("beta (steel, clean): multiply-adds ")
    assert line.endswith("(+1)")


def clock(monkeypatch, milliseconds, runs):
    """Let races see chosen times in the engine, beside a load that comes and goes, another one in each process.

    Args:
        monkeypatch: Puts it in the place of the processes of a race.
        milliseconds: Of the new file of each method, and of those ``before``.
        runs: Where the new files lie.

    Returns:
        Gets the number of files of each process.
    """
    drawn, raced = np.random.default_rng(3), []

    def time_of(model):
        is_new = Path(model).is_relative_to(runs)
        return milliseconds[Path(model).parts[-3] if is_new else "before"]

    def run_process(request, folder):
        times = [time_of(entry["model"]) for entry in request["entries"]]
        raced.append(len(times))
        length, begin = drawn.integers(10, 40), drawn.integers(40)

        def slow(moment, name):
            busy = drawn.lognormal(0, 0.05) * (1.6 if (moment + begin) // length % 2 else 1.0)
            return busy, busy * drawn.choice([1.0, 3.0], p=[0.8, 0.2])

        rounds, calls = request["rounds"], request["block_calls"]
        answer = make_answer(times, rounds, calls, request["process"], slow)
        return answer | {"devices": ["cpu"] * len(times)}

    monkeypatch.setattr(race_module, "run_process", run_process)
    return raced


def retrained(study):
    """Both methods with other weights, on another make of processor."""
    for method in ("alpha", "beta"):
        study.add(method, weight=0.51)
    study.elsewhere()


ENGINE, AROUND = 8.5, 1.5  # milliseconds of a call, in the engine and around it


def test_an_operator_that_makes_a_call_a_fifth_slower_is_told_by_its_row(
    study, reference, monkeypatch
):
    retrained(study)
    slower = 1.2 * (ENGINE + AROUND) - AROUND
    raced = clock(monkeypatch, {"before": ENGINE, "alpha": ENGINE, "beta": slower}, study.runs)
    (line,) = hold_gate(study.runs, reference, settings=GateSettings(spread=None)).lines
    assert line.startswith("beta (steel, clean): slower: 1.")
    assert raced == [4] * 5 + [2] * 5  # the second race is of the slower file alone


def test_ten_runs_without_a_change_pass_beside_a_load(study, reference, monkeypatch):
    retrained(study)
    clock(monkeypatch, dict.fromkeys(("before", "alpha", "beta"), ENGINE), study.runs)
    settings = GateSettings(spread=None)
    gates = [hold_gate(study.runs, reference, settings=settings) for _ in range(10)]
    assert [gate.lines for gate in gates] == [[]] * 10
    told = [change for gate in gates for change in gate.changes if change.time_by == RACED]
    assert len(told) == 20
    assert not [change for change in told if change.untold and "speed" in change.untold[-1]]


def test_files_really_race_beside_a_load(study, reference):
    """One of equal work passes, one of twice the operators is told; or said to be untold where the load is too heavy."""
    study.add("alpha", weight=0.51)
    study.add("beta", operators=2 * OPERATORS, weight=0.52)
    study.elsewhere()
    with load() as other:
        gate = hold_gate(study.runs, reference, settings=TIMED)
        assert other.poll() in (None, 0)  # 0 where it has burnt all that it may
    alpha, beta, _ = gate.changes
    assert (alpha.time_by, beta.time_by) == (RACED, RACED)
    assert alpha.changed == ()
    assert beta.time_ratio > 1.3
    is_untold = any(line.startswith("speed: interval") for line in beta.untold)
    assert is_untold or beta.changed[0].startswith("slower: ")


def in_turn(*races):
    """Races whose ratios are chosen; and what was raced, and for how many rounds."""
    answers, asked = list(races), []

    def race(pairs, settings):
        asked.append((len(pairs), settings.rounds))
        return [answers.pop(0) for _ in pairs]

    return race, asked


FAR, FARTHER = versions.VersionRatio(1.2, 1.1, 1.3), versions.VersionRatio(1.3, 1.2, 1.4)
NEAR, FAST = versions.VersionRatio(1.04, 0.99, 1.1), versions.VersionRatio(0.8, 0.7, 0.9)
WIDE = versions.VersionRatio(1.4, 1.1, 1.7, ("interval is 40% of it",))


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (FAR, FARTHER, "slower: 1.20 times the time [1.10, 1.30]"),
        (FAST, FAST, "faster: 0.80 times the time [0.70, 0.90]"),
        (FAR, NEAR, None),
        (FAR, WIDE, "slower: 1.20 times the time [1.10, 1.30]"),
        (WIDE, FAR, "slower: 1.20 times the time [1.10, 1.30]"),
    ],
)
def test_a_row_offends_only_where_two_races_say_so(
    study, reference, monkeypatch, first, second, told
):
    race, asked = in_turn(NEAR, first, second)
    monkeypatch.setattr(gate_module, "race_versions", race)
    for method in ("alpha", "beta"):
        study.add(method, weight=0.51)
    study.elsewhere()
    gate = hold_gate(study.runs, reference, settings=TIMED)
    assert gate.lines == ([f"beta (steel, clean): {told}"] if told else [])
    assert asked == [(2, SHORT.rounds), (1, 2 * SHORT.rounds)]


def test_without_the_earlier_files_no_speed_is_compared_and_that_is_said(
    study, reference, tmp_path, no_race
):
    files = tmp_path / "files"
    for path in reference.rglob("model.onnx"):
        target = files / path.parent.parent.name / "model.onnx"
        target.parent.mkdir(parents=True)
        shutil.move(path, target)
    earlier = sha256_file(files / "alpha" / "model.onnx")
    study.add("alpha", weight=0.6)
    gate = hold_gate(study.runs, reference)
    assert "speed: the earlier model file is not at hand" in gate.changes[0].untold
    assert "of 1 of 2 methods" in gate.table.notes[0]
    assert no_race == []
    named = hold_gate(study.runs, reference, settings=GateSettings(files=[files]))
    assert not [line for line in named.changes[0].untold if "speed" in line]
    assert [sha256_file(pair.before) for pair in no_race] == [earlier]
    for method in ("alpha", "beta"):  # other files in their places
        write_chain(files / method / "model.onnx", operators=3)
    again = hold_gate(study.runs, reference, settings=GateSettings(files=[files]))
    assert "speed: the earlier model file is not at hand" in again.changes[0].untold


def test_a_ratio_that_cannot_be_trusted_is_no_comparison(study, reference, monkeypatch):
    race, asked = in_turn(WIDE, WIDE)
    monkeypatch.setattr(gate_module, "race_versions", race)
    study.add("alpha", weight=0.6)
    study.elsewhere()
    gate = hold_gate(study.runs, reference)
    assert gate.lines == []
    assert len(asked) == 2
    assert "speed: interval is 40% of it" in gate.changes[0].untold
    assert "of 1 of 2 methods" in gate.table.notes[0]


def test_a_method_that_is_gone_offends_and_a_new_one_does_not(study, reference, no_race):
    shutil.rmtree(study.runs / "clean" / "alpha")
    study.add("gamma")
    gate = hold_gate(study.runs, reference)
    assert gate.lines == ["alpha (steel, clean): gone"]


def verb(study, reference, tmp_path, *more):
    (tmp_path / "models").mkdir(exist_ok=True)
    where = ["--reference", str(reference), "--models", str(tmp_path / "models")]
    return main(["gate", *more, str(study.runs), *where])


def test_the_verb_ends_with_1_and_the_rows_and_renewing_mends_it(
    study, reference, tmp_path, no_race, capsys
):
    assert verb(study, reference, tmp_path) == 0
    assert "the gate holds" in capsys.readouterr().out
    study.add("beta", weight=0.7, score=0.45)
    study.add("gamma")
    shutil.rmtree(study.runs / "clean" / "alpha")
    assert verb(study, reference, tmp_path, "check", "--out", str(tmp_path / "gate")) == 1
    told = capsys.readouterr()
    assert "beta (steel, clean): weights of seed 0 differ" in told.err
    assert "2 rows changed. If that is meant: defectbench gate accept" in told.err
    assert "weights of seed 0 differ" in (tmp_path / "gate" / "changes.md").read_text()
    why = "The loss of boxes counts twice."
    assert verb(study, reference, tmp_path, "accept", "--files", "--why", why) == 0
    log = (reference / LOG).read_text()
    assert f": {why}\n" in log
    assert "- beta (steel, clean): weights of seed 0 differ (map50_95 40.0 to 45.0)" in log
    assert "- alpha (steel, clean): gone (map50_95 40.0 to none)" in log
    assert "- gamma (steel, clean): new (map50_95 none to 40.0)" in log
    assert not (reference / "steel" / "clean" / "alpha" / "seed0").exists()
    assert verb(study, reference, tmp_path) == 0


def test_a_first_reference_is_made_and_a_renewal_needs_a_reason(study, tmp_path):
    with pytest.raises(ReportError, match="--why"):
        renew(study.runs, tmp_path / "first", "  ")
    assert not (tmp_path / "first").exists()
    lines = renew(study.runs, tmp_path / "first", "It begins.")
    assert "- The first reference: 3 methods and controls." in lines
    assert not list((tmp_path / "first").rglob("model.onnx"))
    renew(study.runs, tmp_path / "first", "Again,\n with its files.", with_files=True)
    log = (tmp_path / "first" / LOG).read_text()
    assert log.index("It begins.") < log.index("Again, with its files.")
    assert "- Nothing changed." in log
    assert len(list((tmp_path / "first").rglob("model.onnx"))) == 2
