"""What changed from one study to another is told where it can be, and held against what it can be held against."""

import csv
import json

import pytest
from gate_cells import GateStudy

from defectbench.cli import main
from defectbench.report.gate import GateSettings
from defectbench.report.side_by_side import (
    BY_RECORDS,
    changes_table,
    compare_studies,
    noise_by_task,
    read_side,
)

STEADY = (0.400, 0.404, 0.396, 0.402, 0.398, 0.401)  # mAP50-95 of six seeds
SPREAD_HEAD = "method,task,seed,moved,size_px,epochs,val_score"


@pytest.fixture
def studies(tmp_path):
    """Two studies without cells."""
    return GateStudy(tmp_path / "before"), GateStudy(tmp_path / "after")


def seeds(study, scores=STEADY, **more):
    """A method with a seed a score."""
    for seed, score in enumerate(scores):
        study.add(seed=seed, score=score, weight=score, **more)


def changes(before, after, spread=None, **more):
    return compare_studies(read_side(before.runs), read_side(after.runs), spread, **more)


def test_a_training_that_is_repeated_is_no_change(studies):
    for study in studies:
        study.add()
        study.shelf.control("memoriser", 0.1)
    alpha, control = changes(*studies)
    assert [control.changed, alpha.changed] == [(), ()]
    assert (control.held_against, alpha.held_against) == ("equal predictions",) * 2
    assert alpha.verdict == "no change told"
    assert (alpha.time_ratio, alpha.time_by) == (1.0, BY_RECORDS)


def test_other_weights_are_told_on_the_same_make_of_processor(studies):
    before, after = studies
    before.add(weight=0.5)
    after.add(weight=0.51, score=0.4)
    (change,) = changes(before, after)
    assert change.held_against == "equal weights"
    assert change.changed == ("weights of seed 0 differ",)


def test_three_points_are_told_on_another_make_and_one_is_not(studies):
    before, after = studies
    seeds(before)
    seeds(after, [score - 0.03 for score in STEADY])
    after.elsewhere()
    (change,) = changes(before, after)
    assert change.held_against == "noise of training"
    assert 0.005 < change.reach < 0.01
    assert change.changed == (
        f"scores 3.0 points below, and noise of training explains {100 * change.reach:.1f}",
    )
    seeds(after, [score + 0.03 for score in STEADY])
    after.elsewhere()
    assert changes(before, after)[0].changed[0].startswith("scores 3.0 points above")
    seeds(after, [score - 0.004 for score in STEADY])
    after.elsewhere()
    assert changes(before, after)[0].changed == ()


def test_the_reason_why_weights_are_not_compared_is_said(studies):
    before, after = studies
    seeds(before)
    seeds(after, [score + 0.001 for score in STEADY])
    for folder in after.runs.rglob("seed*"):
        after.edit(folder, "train", software={"torch": "9.9"})
    (change,) = changes(before, after)
    (weights,) = change.untold
    assert weights.startswith("weights: torch ")
    assert weights.endswith("now 9.9")
    notes = changes_table([change], ("a", "b")).notes
    assert "at most 1%, by Student's" in notes[1]
    assert "as 6 trainings show: the seeds of the earlier study" in notes[2]
    assert f"Not compared, 1 of 1: {weights}." in notes


def test_one_multiply_add_more_is_told(studies):
    before, after = studies
    before.add()
    folder = after.add(one_more=True)
    (change,) = changes(before, after)
    macs = json.loads((folder / "complexity.json").read_text())["figures"]["macs"]
    assert change.changed == (f"multiply-adds {macs - 1}, now {macs} (+1)",)


def test_settings_of_a_training_are_told_on_any_machine(studies):
    before, after = studies
    before.add(recipe={"loss": {"box": 2.0, "classes": 1.0}})
    after.add(weight=0.6, recipe={"loss": {"box": 2.0, "classes": 0.0}, "later": 1})
    after.elsewhere()
    (change,) = changes(before, after)
    assert change.changed == ("settings of seed 0 differ (loss.classes 1.0, now 0.0)",)
    assert "score: the noise of training was not measured" in change.untold


def test_equal_predictions_that_score_otherwise_are_told_on_any_machine(studies):
    before, after = studies
    before.add(score=0.4)
    after.add(score=0.41)
    after.elsewhere()
    (change,) = changes(before, after)
    assert change.changed == ("scores 1.0 points above, though the predictions are the same",)


def test_equal_weights_that_predict_otherwise_are_told(studies):
    before, after = studies
    before.add(weight=0.5)
    folder = after.add(weight=0.6)
    record = json.loads((before.runs / "clean/alpha/seed0/train.json").read_text())
    after.edit(folder, "train", weights_sha256=record["weights_sha256"])
    (change,) = changes(before, after)
    assert change.changed == ("predictions of seed 0 differ, though its weights are the same",)


def test_another_test_part_is_a_change_and_no_score_is_compared(tmp_path):
    before, after = GateStudy(tmp_path / "a"), GateStudy(tmp_path / "b", images=8)
    before.add()
    after.add(score=0.2)
    (change,) = changes(before, after)
    assert change.changed == ("another truth (annotations, images)",)
    assert (change.reach, change.held_against) == (None, "nothing")
    assert "score: it is of another test part" in change.untold


def test_methods_that_are_gone_or_new_are_said(studies):
    before, after = studies
    before.add("alpha")
    after.add("beta")
    gone, new = changes(before, after)
    assert (gone.method, gone.changed) == ("alpha", ("gone",))
    assert (new.method, new.verdict, new.changed) == ("beta", "new", ())


def test_what_trains_as_a_program_is_held_by_its_score(studies):
    before, after = studies
    for study, weight in zip(studies, (0.5, 0.6), strict=True):
        folder = study.add(weight=weight)
        record = json.loads((folder / "train.json").read_text())
        del record["weights_sha256"]
        (folder / "train.json").write_text(json.dumps(record))
    (change,) = changes(before, after)
    assert change.changed == ()
    assert "weights: trained by a program that keeps no hash of its weights" in change.untold


def test_controls_move_by_rounding_alone(studies):
    before, after = studies
    for study, results, score in zip(studies, ([], None), (0.5, 0.5), strict=True):
        study.add()
        folder = study.shelf.control("memoriser", score)
        oracle = study.shelf.oracle() if results is None else results
        study.shelf.score(folder, score, results=oracle)
    after.elsewhere()
    assert changes(before, after)[1].changed == ()
    after.shelf.score(folder, 0.504, results=oracle)
    after.elsewhere()
    told = ("scores 0.2 points above, and rounding explains 0.1",)
    assert changes(before, after)[1].changed == told


def spread_file(path, scores, epochs=30):
    rows = [f"alpha,detection,{n},0,64,{epochs},{value}" for n, value in enumerate(scores)]
    moved = f"alpha,detection,0,1,64,{epochs},0.9"
    path.write_text("\n".join([SPREAD_HEAD, *rows, moved]) + "\n")
    return path


def test_noise_that_was_measured_elsewhere_serves_few_seeds(studies, tmp_path):
    before, after = studies
    before.add(score=0.4)
    after.add(score=0.37, weight=0.6)
    after.elsewhere()
    narrow = spread_file(tmp_path / "narrow.csv", STEADY)
    (change,) = changes(before, after, narrow)
    assert change.changed[0].startswith("scores 3.0 points below")
    assert "as 6 trainings show" in change.noise
    assert "narrow.csv" in change.noise
    wide = spread_file(tmp_path / "wide.csv", (0.3, 0.4, 0.5, 0.45))
    (change,) = changes(before, after, wide)
    assert change.reach > 0.3
    assert change.changed == ()


def test_noise_of_another_budget_is_not_taken(studies, tmp_path):
    before, _ = studies
    before.add()
    entries = read_side(before.runs).entries
    assert noise_by_task(spread_file(tmp_path / "a.csv", STEADY, epochs=31), entries) == {}
    assert noise_by_task(tmp_path / "none.csv", entries) == {}
    (noise,) = noise_by_task(spread_file(tmp_path / "a.csv", STEADY), entries).values()
    assert (noise.freedom, noise.runs) == (5, 6)  # the moved one is no seed


def test_more_methods_widen_what_chance_explains(studies):
    before, after = studies
    for method in ("alpha", "beta", "gamma"):
        seeds(before, method=method)
        seeds(after, [score - 0.001 for score in STEADY], method=method)
    after.elsewhere()
    together = [change.reach for change in changes(before, after)]
    single = changes(before, after, level=GateSettings().level * 3)
    assert together[0] > single[0].reach > 0


def test_the_verb_prints_both_and_writes_tables(studies, tmp_path, capsys):
    before, after = studies
    before.add(score=0.4)
    after.add(score=0.5, weight=0.6)
    out = tmp_path / "out"
    (tmp_path / "models").mkdir()
    more = ["--models", str(tmp_path / "models"), "--out", str(out)]
    assert main(["compare", str(before.runs), str(after.runs), *more]) == 0
    shown = capsys.readouterr().out
    assert "+10.0" in shown
    assert "held against: equal weights (1)" in shown
    assert "weights of seed 0 differ" in (out / "changes.md").read_text()
    with (out / "changes.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["difference"], row["verdict"]) == ("0.1", "weights of seed 0 differ")
