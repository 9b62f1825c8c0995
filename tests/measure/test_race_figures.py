"""The figures of a race: exact values by hand, load that comes and goes, intervals, and reasons against a row."""

import numpy as np
import pytest
from race_cases import MS, make_answer, make_answers

from defectbench.measure.race_figures import (
    clock_of_ratios,
    draw_rounds,
    interquartile_mean,
    interval_ends,
    invalid_because,
    summarise,
)

ENDS = ("", "_low", "_high")


def figures_of(answers, model=0, base=None, threads=1):
    return summarise(answers, model, base, threads) | {"threads": threads}


def ratio(figures, name="ratio_to_reference"):
    return [figures[f"{name}{end}"] for end in ENDS]


def test_figures_by_hand():
    figures = figures_of(make_answers())
    assert figures["latency_ms_p50"] == figures["latency_ms_p99"] == 11.5
    assert (figures["latency_ms_p50_low"], figures["latency_ms_p50_high"]) == (11.5, 11.5)
    assert figures["fps"] == pytest.approx(1000 / 11.5)
    phases = [figures[f"{phase}_ms_p50"] for phase in ("pre", "forward", "post")]
    assert phases == [1.0, 10.0, 0.5]
    assert figures["reference_ms_p50"] == 1.0
    assert ratio(figures) == pytest.approx([11.5] * 3, rel=1e-3)
    assert figures["ratio_clock"] == "processor"
    assert figures["waiting_share"] == 0.0
    assert figures["post_ms_p50_at_score_0001"] == 2.0
    assert invalid_because(figures, make_answers()) == []


def test_what_has_no_post_has_no_figure_of_it():
    answers = [answer | {"post": [False]} for answer in make_answers()]
    figures = figures_of(answers)
    assert not {"post_ms_p50", "post_ms_p90", "post_ms_p99"} & set(figures)
    assert figures["forward_ms_p50"] == 10.0


def test_each_figure_has_its_number():
    figures = figures_of(make_answers(processes=3, rounds=7, calls=2))
    names = ("n_calls", "n_blocks", "n_processes", "n_images", "n_burst_calls")
    assert [figures[name] for name in names] == [42, 21, 3, 6, 0]
    assert figures["n_post_calls_at_score_0001"] == 21


def test_a_compressed_model_has_the_ratio_to_its_base():
    figures = figures_of(make_answers(), model=1, base=0)
    assert ratio(figures, "ratio_to_base") == pytest.approx([6.5 / 11.5] * 3, rel=1e-3)
    assert [figures[f"base_latency_ms_p50{end}"] for end in ENDS] == [11.5] * 3
    assert "ratio_to_base" not in figures_of(make_answers())


def test_calls_after_a_pause_stand_apart():
    answers = make_answers(processes=2)
    for answer in answers:
        answer["runners"][0]["burst"] = [[MS, 20 * MS, MS]]
    figures = figures_of(answers)
    assert (figures["burst_latency_ms_p50"], figures["n_burst_calls"]) == (22.0, 2)
    assert "burst_latency_ms_p50" not in figures_of(answers, model=1)


def switching(period, factor):
    """Load for ``period`` blocks, none for as many; it makes all work slower."""
    return lambda moment, name: (factor, factor) if moment // period % 2 else (1.0, 1.0)


@pytest.mark.parametrize("period", [3.7, 7.3, 20])
@pytest.mark.parametrize("factor", [1.3, 2.0])
def test_load_that_comes_and_goes_leaves_the_ratio_alone(period, factor):
    answers = make_answers(slow=switching(period, factor), rounds=24)
    figures = figures_of(answers)
    assert figures["ratio_to_reference"] == pytest.approx(11.5, rel=0.1)
    assert invalid_because(figures, answers) == []
    if period == 20:
        assert ratio(figures) == pytest.approx([11.5] * 3, rel=1e-3)
        assert figures["latency_ms_p99"] == pytest.approx(11.5 * factor)


def test_drift_leaves_the_ratio_alone():
    answers = make_answers(slow=lambda moment, name: (1 + moment / 100, 1 + moment / 100))
    figures = figures_of(answers)
    assert ratio(figures) == pytest.approx([11.5] * 3, rel=0.01)
    assert figures["latency_ms_p50_low"] > 12
    assert invalid_because(figures, answers) == []


def test_waiting_for_the_processor_is_no_work():
    """A long call is interrupted on a busy machine, a short one of the reference is not."""

    def interrupted(moment, name):
        return (1.0, 1.0) if name == "reference" else (1.0, 2.0)

    answers = make_answers(slow=interrupted, foreign_cores_busy=1.9)
    figures = figures_of(answers)
    assert ratio(figures) == pytest.approx([11.5] * 3, rel=1e-3)
    assert figures["latency_ms_p50"] == 23.0
    assert figures["waiting_share"] == pytest.approx(0.5)
    assert invalid_because(figures, answers) == []


def test_the_wall_is_the_clock_where_the_other_is_hidden_or_threads_are_several():
    answers = make_answers(slow=lambda moment, name: (0.1, 1.0))
    assert clock_of_ratios(answers, 1) == "processor"
    assert clock_of_ratios(answers, 2) == "wall"
    assert ratio(figures_of(answers, threads=2)) == pytest.approx([11.5] * 3)
    for block in answers[0]["reference"]:
        for call in block:
            call[1] = 0
    assert clock_of_ratios(answers, 1) == "wall"


def test_the_wall_is_the_clock_of_what_computes_on_a_gpu_and_of_what_is_held_against_it():
    answers = [answer | {"devices": ["cpu", "cuda"]} for answer in make_answers()]
    assert [clock_of_ratios(answers, 1, model) for model in (0, 1)] == ["processor", "wall"]
    assert clock_of_ratios(answers, 1, 0, base=1) == "wall"


def test_an_interval_that_is_too_wide_invalidates_the_row():
    answers = [make_answer((ms, 5.0), process=n) for n, ms in enumerate((8, 9, 10, 11, 12))]
    figures = figures_of(answers)
    (reason,) = invalid_because(figures, answers)
    assert reason.startswith("interval of the ratio to reference is")
    assert reason.endswith("over 20%")
    assert figures["ratio_to_reference_low"] < 11.5 < figures["ratio_to_reference_high"]


def test_a_wide_interval_of_the_ratio_to_the_base_does_as_well():
    answers = [make_answer((ms, 5.0), process=n) for n, ms in enumerate((8, 9, 10, 11, 12))]
    (reason,) = invalid_because(figures_of(answers, model=1, base=0), answers)
    assert reason.startswith("interval of the ratio to base is")


def test_few_blocks_invalidate_the_row():
    answers = make_answers(processes=2, rounds=5)
    assert invalid_because(figures_of(answers), answers) == ["10 blocks, under 20"]


def test_a_clock_that_counts_waiting_invalidates_the_row_where_others_held_the_cores():
    answers = make_answers(foreign_cores_busy=1.5)
    assert invalid_because(figures_of(answers), answers) == []
    (reason,) = invalid_because(figures_of(answers, threads=2), answers)
    assert reason.startswith("other programs took 75% of the processors")
    assert invalid_because(figures_of(answers[:1] * 5, threads=2), make_answers()) == []


def test_what_the_machine_hides_is_no_reason():
    hidden = {"foreign_cores_busy": None, "usable_cores": None, "clock_mhz": [None, None]}
    answers = make_answers(**hidden)
    for threads in (1, 2):
        figures = figures_of(answers, threads=threads)
        assert invalid_because(figures, answers) == []
        assert figures["clock_evidence"] == "none"


def test_load_and_a_falling_clock_are_evidence_and_no_reason():
    answers = make_answers(foreign_cores_busy=2.0, clock_mhz=[2600.0, 1300.0])
    figures = figures_of(answers)
    assert figures["clock_evidence"] == "moving"
    assert invalid_because(figures, answers) == []


@pytest.mark.parametrize(
    ("clocks", "seen"),
    [([None, None], "none"), ([2600.0, 2600.0], "constant"), ([2600.0, 2590.0], "moving")],
)
def test_a_record_says_what_the_machine_tells_of_its_clock(clocks, seen):
    assert figures_of(make_answers(clock_mhz=clocks))["clock_evidence"] == seen


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([9.0, -80.0, 1.0, 2.0, 3.0, 700.0, 2.0, 6.0])) == 3.25
    rows = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 1e9]])
    assert interquartile_mean(rows).tolist() == [2.5, 5.0]


@pytest.mark.parametrize(("between", "within"), [(0.0, 0.1), (0.02, 0.1), (0.02, 0.02)])
def test_the_interval_covers_the_truth(between, within):
    """Simulated blocks of five processes with heavy tails; a nominal 95 % interval, true ratio 1."""
    random, chosen, trials = np.random.default_rng(7), draw_rounds(5, 12, 300), 200
    covered = 0
    for _ in range(trials):
        blocks = random.normal(0, between, (5, 1)) + random.standard_t(4, (5, 12)) * within
        low, high = interval_ends(interquartile_mean(blocks[chosen].reshape(300, -1)))
        covered += low <= 0 <= high
    assert covered / trials >= 0.88


def batched(models=(40.0,), **settings):
    """Answers whose second model alone takes four images a call."""
    answers = make_answers(**settings)
    races = make_answers(models=models, calls=1, **settings)
    for answer, race in zip(answers, races, strict=True):
        answer["batches"] = {"4": race | {"models": [1]}}
    return answers


def test_throughput_by_hand():
    figures = figures_of(batched(), model=1)
    rates = [figures[f"images_per_s_batch4{end}"] for end in ENDS]
    assert rates == pytest.approx([4000 / 41.5] * 3)
    assert ratio(figures, "ratio_to_reference_batch4") == pytest.approx([41.5] * 3, rel=1e-3)
    assert figures["n_blocks_batch4"] == 60
    assert not [name for name in figures_of(batched()) if "batch4" in name]


def test_ends_of_throughput_are_those_of_the_time_turned_round():
    slow = {n: (lambda moment, name, n=n: (1.0, 1.0 + 0.2 * n)) for n in range(5)}
    answers = make_answers()
    for n, answer in enumerate(answers):
        race = make_answer(models=(40.0,), calls=1, process=n, slow=slow[n])
        answer["batches"] = {"4": race | {"models": [0]}}
    low, rate, high = (
        figures_of(answers)[f"images_per_s_batch4{end}"] for end in ("_low", "", "_high")
    )
    assert low < rate < high
    assert rate == pytest.approx(4000 / (41.5 * 1.4))


def test_energy_by_hand():
    answers = make_answers(processes=3)
    for answer, joules in zip(answers, (9.0, 10.0, 20.0), strict=True):
        spent = {"images": 10, "seconds": 2.0, "joules": {"package-0": joules, "gpu-0": 1.0}}
        idle = {"package-0": 1.5, "gpu-0": 0.5}
        answer["energy"] = {"absent_because": {}, "idle_w": idle, "runners": [spent, spent]}
    figures = figures_of(answers)
    assert figures["joules_per_image"] == pytest.approx(1.1)
    assert figures["joules_per_image_above_idle"] == pytest.approx(0.7)
    assert (figures["idle_w"], figures["n_energy_images"]) == (2.0, 30)


def test_a_machine_that_tells_no_energy_has_no_such_figure():
    answers = make_answers()
    for answer in answers:
        answer["energy"] = {"absent_because": {"rapl": "hidden"}}
    assert not [name for name in figures_of(answers) if "joules" in name or "idle" in name]
