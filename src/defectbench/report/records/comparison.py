"""Which method is better, and where that cannot be told.

Methods are compared on the same test part from their stored predictions: over training seeds and groups of images where
both have several seeds, else over groups, for the trained networks as they are given. Where predictions or truth are
not at hand, intervals are compared: that they do not overlap is a stricter test. What is said of the leader of a table
is corrected for the number of methods that it is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from scipy import stats

from ...base.tasks import ANOMALY, CLASSIFICATION, DETECTION
from ...data.truth import read_truth
from ...measure.accuracy import groups_of, listed_images
from ...measure.anomaly import FIGURES as ANOMALY_FIGURES
from ...measure.anomaly import resampled_anomaly, scored_images, threshold_in
from ...measure.bootstrap import match
from ...measure.classification import FIGURES as ALL_CLASS_FIGURES
from ...measure.classification import predicted_classes, resampled_figures, true_classes
from ...measure.evaluator import restrict
from ...measure.pooled import LEVEL, SetDifference, seeds_to_settle, set_difference
from ...measure.results import read_results
from ...measure.seeds import (
    GROUPS,
    Difference,
    Runs,
    difference_of,
    holm,
    score_over,
    score_over_records,
)
from ...measure.spread import spread_of_ends, spread_of_strangers
from ...measure.statistics import CONFIDENCE, Interval, Resampled, resampled_precision
from .cell import CellRecords
from .cells import Entry, Key, key_of
from .certificates import kept_truth
from .kept import content_sha256, kept_file, unpacked

FIGURES = ("map50", "map50_95")
CLASS_FIGURES = ("accuracy", "balanced_accuracy")
RESAMPLES = 1000
OVERLAP = "no overlap of intervals"
OVER_SEEDS = "Student over seeds and groups"
UNKNOWN = "not distinguishable"

ByFigure = Mapping[str, Runs]
RunsOf = Callable[[Sequence[CellRecords], int], ByFigure | None]


@dataclass(frozen=True)
class Pair:
    """Two methods beside each other, in one figure.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts were made.
        figure: ``map50`` or ``map50_95``; of classifiers ``accuracy`` or ``balanced_accuracy``.
        first: The method that scored higher.
        second: The other one.
        difference: First minus second.
        low: Lower end of the 95 % interval of the difference, uncorrected.
        high: Upper end.
        n_groups: Number of groups of the test part.
        test: How it was decided.
        p_value: Two-sided, by Student's distribution; None of a pair that was kept before it was made.
        p_corrected: The same, corrected by Holm's procedure over the pairs of the method that leads in this figure;
            of a pair without the leader, ``p_value``.
        verdict: ``<first> is better``, if the interval lies above 0 and ``p_corrected`` below 0.05, or ``not
            distinguishable``.
        seeds_needed: Seeds of each method that would settle it with a power of 80 %, if difference and variances are
            as measured and the groups of the test part stay; None where it is settled, or where no number is known to.
        seeds_limit: Why no number is known; empty otherwise.
    """

    dataset: str
    protocol: str
    figure: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    n_groups: int
    test: str
    p_value: float | None
    p_corrected: float | None
    verdict: str
    seeds_needed: int | None = None
    seeds_limit: str | None = None


def score_interval(entry: Entry, figure: str, runs: ByFigure | None = None) -> Interval:
    """A score with its interval: over seeds and groups where there are several seeds, else over groups.

    Args:
        entry: All seeds of one method.
        figure: ``map50``, ``map50_95`` or ``map75``, or one of a classifier.
        runs: The figures of its seeds on resamples; without them the seeds' own intervals stand for what groups do.
    """
    records = [cell.accuracy["figures"] for cell in entry.cells]
    values, lows, highs = (
        [record[f"{figure}{end}"] for record in records] for end in ("", "_low", "_high")
    )
    if len(records) > 1 and runs is not None and figure in runs:
        scored = zip(runs[figure].resampled, values, strict=True)
        recorded = tuple(replace(one, whole=value) for one, value in scored)
        return score_over(Runs(runs[figure].seeds, recorded))
    return score_over_records(values, lows, highs, records[0]["n_groups"])


def paired_test(resamples: int, seeds: int) -> str:
    """The paired test in words; with one seed of either method it speaks of the trained networks alone."""
    if seeds > 1:
        return OVER_SEEDS
    return f"BCa bootstrap over groups given these trained networks, {resamples:,} resamples"


def precision_runs(cells: Sequence[CellRecords], resamples: int = RESAMPLES) -> ByFigure | None:
    """Scores of all seeds of a detector on its test part and on resamples of its groups, by figure.

    Args:
        cells: All seeds of one method.
        resamples: Number of resamples.

    Returns:
        None where predictions or truth are not at hand as they were scored. Resamples of one test part are paired.
    """
    return _runs(cells, resamples, _resampled_precision, FIGURES)


def classifier_runs(cells: Sequence[CellRecords], resamples: int = RESAMPLES) -> ByFigure | None:
    """Scores of all seeds of a classifier on its test part and on resamples; as ``precision_runs``."""
    return _runs(cells, resamples, _resampled_classes, ALL_CLASS_FIGURES)


def anomaly_runs(cells: Sequence[CellRecords], resamples: int = RESAMPLES) -> ByFigure | None:
    """Scores of all seeds of a method that learnt without defects; as ``precision_runs``."""
    return _runs(cells, resamples, _resampled_anomaly, ANOMALY_FIGURES)


RUNS_OF: Mapping[str, Callable[..., ByFigure | None]] = {  # by task
    DETECTION.name: precision_runs,
    CLASSIFICATION.name: classifier_runs,
    ANOMALY.name: anomaly_runs,
}


def _runs(
    cells: Sequence[CellRecords],
    resamples: int,
    resample: Callable[[dict[str, Path], int], dict[str, Resampled]],
    figures: Sequence[str],
) -> ByFigure | None:
    sources = [scored_files(cell) for cell in cells]
    if not all(sources):
        return None
    by_seed = [resample(files, resamples) for files in sources if files]
    seeds = tuple(cell.seed for cell in cells)
    told = [name for name in figures if all(name in one for one in by_seed)]
    return {name: Runs(seeds, tuple(one[name] for one in by_seed)) for name in told}


def compare_entries(
    entries: Sequence[Entry],
    resamples: int = RESAMPLES,
    figures: Sequence[str] = FIGURES,
    runs_of: RunsOf = precision_runs,
    runs: Mapping[str, ByFigure | None] | None = None,
) -> list[Pair]:
    """Compare all methods of one dataset and protocol with each other; controls are left out.

    Args:
        entries: Rows of one dataset and protocol.
        resamples: Number of resamples of the bootstrap.
        figures: What they are compared in.
        runs_of: Scores of all seeds of a method on resamples, by figure; as ``precision_runs``.
        runs: The same by method, where they are known already.
    """
    methods = [entry for entry in entries if not entry.first.is_control]
    if len(methods) < 2:
        return []
    by_method = runs_by_method(methods, resamples, runs_of) if runs is None else runs
    pairs = []
    for figure in figures:
        estimates = [score_interval(e, figure, by_method[e.first.method]).estimate for e in methods]
        found = []
        for a, b in combinations(range(len(methods)), 2):
            best, other = (a, b) if estimates[a] >= estimates[b] else (b, a)
            found.append(_compare(methods[best], methods[other], by_method, figure))
        titles = {entry.first.method: entry.title for entry in methods}
        leader = methods[max(range(len(methods)), key=lambda n: estimates[n])].first.method
        decided = _decided(found, leader, titles)
        pairs += [_with_seeds_needed(pair, by_method, leader, len(methods) - 1) for pair in decided]
    return pairs


def _with_seeds_needed(
    pair: Pair, by_method: Mapping[str, ByFigure | None], leader: str, rivals: int
) -> Pair:
    """A pair that is not told apart, with the seeds that would do it, corrected for all rivals of the leader."""
    first, second = (by_method[method] for method in (pair.first, pair.second))
    if pair.verdict != UNKNOWN or first is None or second is None:
        return pair
    level = LEVEL / rivals if leader in (pair.first, pair.second) else LEVEL
    settled = seeds_to_settle([set_difference(first[pair.figure], second[pair.figure])], level)
    return replace(pair, seeds_needed=settled.seeds, seeds_limit=settled.limit)


def runs_by_method(
    entries: Sequence[Entry], resamples: int = RESAMPLES, runs_of: RunsOf = precision_runs
) -> dict[str, ByFigure | None]:
    """Scores of all seeds of each method on resamples, by figure; controls are left out.

    Args:
        entries: Rows of one dataset and protocol.
        resamples: Number of resamples.
        runs_of: As ``precision_runs``.
    """
    methods = [entry for entry in entries if not entry.first.is_control]
    return {entry.first.method: runs_of(entry.cells, resamples) for entry in methods}


def runs_by_key(
    entries: Sequence[Entry], resamples: int = RESAMPLES, runs_of: RunsOf = precision_runs
) -> dict[Key, ByFigure | None]:
    """Scores of all seeds of each method on resamples, by dataset, protocol and method; controls are left out."""
    methods = [entry for entry in entries if not entry.first.is_control]
    return {key_of(entry): runs_of(entry.cells, resamples) for entry in methods}


def _compare(
    first: Entry, second: Entry, by_method: Mapping[str, ByFigure | None], figure: str
) -> Pair:
    runs, others = (by_method[entry.first.method] for entry in (first, second))
    if runs is None or others is None:
        made, test = _difference_of_intervals(first, second, by_method, figure), OVERLAP
    else:
        made = difference_of(runs[figure], others[figure])
        seeds = 1 if made.interval.unit == GROUPS else made.interval.n
        test = paired_test(len(runs[figure].draws), seeds)
    cell, interval = first.first, made.interval
    return Pair(
        dataset=cell.dataset,
        protocol=cell.protocol,
        figure=figure,
        first=cell.method,
        second=second.first.method,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        n_groups=cell.accuracy["figures"]["n_groups"],
        test=test,
        p_value=made.p_value,
        p_corrected=made.p_value,
        verdict=UNKNOWN,
    )


def difference_on_a_set(
    first: Entry, second: Entry, runs: tuple[ByFigure | None, ByFigure | None], figure: str
) -> SetDifference:
    """One method minus another on one test part, as it is pooled over sets.

    Args:
        first: One method.
        second: The other.
        runs: Figures of the seeds of both on resamples; where one has none, the two methods' own intervals stand for
            what groups do, as if they had been scored on different test parts.
        figure: What they are compared in.
    """
    if runs[0] is not None and runs[1] is not None:
        return set_difference(runs[0][figure], runs[1][figure])
    means, spreads = [], []
    for entry in (first, second):
        records = [cell.accuracy["figures"] for cell in entry.cells]
        values, lows, highs = (
            [record[f"{figure}{end}"] for record in records] for end in ("", "_low", "_high")
        )
        means.append(sum(values) / len(values))
        spreads.append(spread_of_ends(values, lows, highs, records[0]["n_groups"]))
    seeds = min(len(entry.cells) for entry in (first, second))
    spread = spread_of_strangers(*spreads)
    if seeds == 1:
        spread = replace(spread, trainings=())
    groups = first.first.accuracy["figures"]["n_groups"]
    return SetDifference(means[0] - means[1], spread, seeds, groups)


def _decided(pairs: Sequence[Pair], leader: str, titles: Mapping[str, str]) -> list[Pair]:
    """Give each pair its verdict; those of the leader count as one family."""
    family = [n for n, pair in enumerate(pairs) if leader in (pair.first, pair.second)]
    p_values = [pair.p_value or 0.0 for pair in pairs]
    corrected = dict(zip(family, holm([p_values[n] for n in family]), strict=True))
    decided = []
    for n, pair in enumerate(pairs):
        p_corrected = corrected.get(n, p_values[n])
        is_told = pair.low > 0 and p_corrected < 1 - CONFIDENCE
        verdict = f"{titles[pair.first]} is better" if is_told else UNKNOWN
        decided.append(replace(pair, p_corrected=p_corrected, verdict=verdict))
    return decided


def _difference_of_intervals(
    first: Entry, second: Entry, by_method: Mapping[str, ByFigure | None], figure: str
) -> Difference:
    """From the ends of both intervals, and a p value as if the two had been scored on different test parts."""
    a, b = (score_interval(e, figure, by_method[e.first.method]) for e in (first, second))
    estimate = a.estimate - b.estimate
    interval = Interval(estimate, a.low - b.high, a.high - b.low, min(a.n, b.n), a.unit)
    quantile = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    errors = [(end.high - end.low) / 2 / quantile for end in (a, b)]
    error = (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    if error == 0:
        return Difference(interval, 1.0 if estimate == 0 else 0.0)
    return Difference(interval, float(2 * stats.norm.sf(abs(estimate) / error)))


def scored_files(cell: CellRecords) -> dict[str, Path] | None:
    """The files that a score was made from, if all are there and unchanged; some may be kept compressed."""
    inputs: dict[str, Any] = cell.accuracy["inputs"]
    files = {}
    for name, entry in inputs.items():
        path = Path(entry["path"])
        places = [path, kept_file(kept_truth(cell) / f"{name}{path.suffix}")]
        if name == "predictions":
            places = [kept_file(cell.folder / "predictions.json")]
        if name == "operating_point":
            places = [cell.folder / path.name]
        same = [p for p in places if p.is_file() and content_sha256(p) == entry["sha256"]]
        if not same:
            return None
        files[name] = same[0]
    return files


def _resampled_precision(files: dict[str, Path], resamples: int) -> dict[str, Resampled]:
    with unpacked(files) as paths:
        names = listed_images(paths["images"])
        truth = restrict(read_truth(paths["annotations"]), names, paths["images"])
        groups = groups_of(truth, paths["groups"])
        matches = match(truth, read_results(paths["predictions"], truth))
    return resampled_precision(matches, groups, resamples)


def _resampled_classes(files: dict[str, Path], resamples: int) -> dict[str, Resampled]:
    with unpacked(files) as paths:
        names = listed_images(paths["images"])
        truth = restrict(read_truth(paths["annotations"]), names, paths["images"])
        classes = len(truth["categories"])
        predicted = predicted_classes(paths["predictions"], truth, classes)
        groups = groups_of(truth, paths["groups"])
    return resampled_figures(true_classes(truth), predicted, classes, groups, resamples)


def _resampled_anomaly(files: dict[str, Path], resamples: int) -> dict[str, Resampled]:
    with unpacked(files) as paths:
        names = listed_images(paths["images"])
        truth = restrict(read_truth(paths["annotations"]), names, paths["images"])
        groups = groups_of(truth, paths["groups"])
        rows = read_results(paths["predictions"], truth, ANOMALY.name)
        point = threshold_in(paths["operating_point"]) if "operating_point" in paths else None
    return resampled_anomaly(scored_images(truth, rows), point, groups, resamples)
