"""Which method is better, and where that cannot be told.

Methods are compared on the same test part by a paired bootstrap over its groups, and over seeds
where there are several, from their stored predictions. Where predictions or truth are not at hand,
intervals are compared: that they do not overlap is a stricter test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.files import read_json
from ...measure.accuracy import groups_of, listed_images, read_results
from ...measure.bootstrap import group_weights, match, mean_precision, weighted_precision
from ...measure.classification import figure_draws, predicted_classes, true_classes
from ...measure.evaluator import restrict
from ...measure.statistics import Interval, aggregate_seeds, percentile_interval
from .cells import CellRecords, Entry
from .certificates import kept_truth
from .kept import content_sha256, kept_file, unpacked

FIGURES = ("map50", "map50_95")
CLASS_FIGURES = ("accuracy", "balanced_accuracy")
RESAMPLES = 1000
OVERLAP = "no overlap of intervals"
UNKNOWN = "not distinguishable"

Draws = dict[str, NDArray[np.float64]]


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
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        n_groups: Number of groups of the test part.
        test: How it was decided.
        verdict: ``<first> is better`` or ``not distinguishable``.
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
    verdict: str


def score_interval(entry: Entry, figure: str) -> Interval:
    """A score with its interval: over seeds where there are several, else over groups.

    Args:
        entry: All seeds of one method.
        figure: ``map50``, ``map50_95`` or ``map75``, or one of a classifier.
    """
    records = [cell.accuracy["figures"] for cell in entry.cells]
    if len(records) > 1:
        seeds = aggregate_seeds([record[figure] for record in records])
        low, high = max(seeds.low, 0.0), min(seeds.high, 1.0)
        return Interval(seeds.estimate, low, high, seeds.n, "seeds")
    only = records[0]
    low, high = only[f"{figure}_low"], only[f"{figure}_high"]
    return Interval(only[figure], low, high, only["n_groups"], "groups")


def paired_test(resamples: int, seeds: int) -> str:
    """The paired test in words; with one seed of either method the noise of training is not in its interval."""
    over = "groups and seeds" if seeds > 1 else "groups (one seed: without the noise of training)"
    return f"paired bootstrap over {over}, {resamples:,} resamples"


def precision_draws(cells: Sequence[CellRecords], resamples: int = RESAMPLES) -> Draws | None:
    """Scores of a method on resampled groups and seeds, mean over the drawn seeds.

    Args:
        cells: All seeds of one method.
        resamples: Number of resamples.

    Returns:
        By figure [1 + resamples], the first on the data as they are; None where predictions or
        truth are not at hand as they were scored. Draws on one test part are paired.
    """
    sources = [scored_files(cell) for cell in cells]
    if not all(sources):
        return None
    return mean_over_seeds([_draws(source, resamples) for source in sources if source], FIGURES)


def class_draws(cell: CellRecords, resamples: int = RESAMPLES) -> Draws | None:
    """Scores of a classifier on the data as they are and on resampled groups, [1 + resamples] by figure.

    None where predictions or truth are not at hand as they were scored. Draws on one test part are paired.
    """
    files = scored_files(cell)
    if files is None:
        return None
    with unpacked(files) as paths:
        names = listed_images(paths["images"])
        truth = restrict(read_json(paths["annotations"]), names, paths["images"])
        classes = len(truth["categories"])
        predicted = predicted_classes(paths["predictions"], truth, classes)
        groups = groups_of(truth, paths["groups"])
    return figure_draws(true_classes(truth), predicted, classes, groups, resamples)


def classifier_draws(cells: Sequence[CellRecords], resamples: int = RESAMPLES) -> Draws | None:
    """Scores of a classifier on resampled groups and seeds; as ``precision_draws``."""
    by_seed = [class_draws(cell, resamples) for cell in cells]
    drawn = [draws for draws in by_seed if draws is not None]
    return mean_over_seeds(drawn, CLASS_FIGURES) if len(drawn) == len(by_seed) else None


def compare_entries(
    entries: Sequence[Entry],
    resamples: int = RESAMPLES,
    figures: Sequence[str] = FIGURES,
    draws_of: Callable[[Sequence[CellRecords], int], Draws | None] = precision_draws,
) -> list[Pair]:
    """Compare all methods of one dataset and protocol with each other; controls are left out.

    Args:
        entries: Rows of one dataset and protocol.
        resamples: Number of resamples of the bootstrap.
        figures: What they are compared in.
        draws_of: Scores of a method on resampled groups and seeds, by figure; as ``precision_draws``.
    """
    methods = [entry for entry in entries if not entry.first.is_control]
    if len(methods) < 2:
        return []
    draws = [draws_of(entry.cells, resamples) for entry in methods]
    pairs = []
    for figure in figures:
        for a, b in combinations(range(len(methods)), 2):
            scores = [score_interval(methods[n], figure).estimate for n in (a, b)]
            best, other = (a, b) if scores[0] >= scores[1] else (b, a)
            pair = _compare(methods[best], methods[other], draws[best], draws[other], figure)
            pairs.append(pair)
    return pairs


def _compare(
    first: Entry, second: Entry, draws: Draws | None, others: Draws | None, figure: str
) -> Pair:
    if draws is None or others is None:
        difference, low, high, test = _difference_of_intervals(first, second, figure)
    else:
        differences = draws[figure] - others[figure]
        seeds = min(len(first.cells), len(second.cells))
        difference, test = float(differences[0]), paired_test(len(differences) - 1, seeds)
        low, high = percentile_interval(differences[1:])
    cell = first.first
    verdict = f"{first.title} is better" if low > 0 else UNKNOWN
    n_groups = cell.accuracy["figures"]["n_groups"]
    named = (cell.dataset, cell.protocol, figure, cell.method, second.first.method)
    return Pair(*named, difference, low, high, n_groups, test, verdict)


def _difference_of_intervals(
    first: Entry, second: Entry, figure: str
) -> tuple[float, float, float, str]:
    a, b = score_interval(first, figure), score_interval(second, figure)
    return a.estimate - b.estimate, a.low - b.high, a.high - b.low, OVERLAP


def mean_over_seeds(by_seed: Sequence[Draws], figures: Sequence[str]) -> Draws:
    """Draws [1 + resamples] of a method from those of its seeds: the mean over seeds that are drawn too."""
    shares = _seed_shares(len(by_seed), len(by_seed[0][figures[0]]) - 1)
    return {
        figure: (np.stack([draws[figure] for draws in by_seed]) * shares).sum(axis=0)
        for figure in figures
    }


def _seed_shares(seeds: int, resamples: int) -> NDArray[np.float64]:
    """Weight [seeds, 1 + resamples] of each seed in each resample; equal in the first."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples).T / seeds
    return np.concatenate([np.full((seeds, 1), 1 / seeds), drawn], axis=1)


def scored_files(cell: CellRecords) -> dict[str, Path] | None:
    """The files that a score was made from, if all are there and unchanged; some may be kept compressed."""
    inputs: dict[str, Any] = cell.accuracy["inputs"]
    files = {}
    for name, entry in inputs.items():
        path = Path(entry["path"])
        places = [path, kept_file(kept_truth(cell) / f"{name}{path.suffix}")]
        if name == "predictions":
            places = [kept_file(cell.folder / "predictions.json")]
        same = [p for p in places if p.is_file() and content_sha256(p) == entry["sha256"]]
        if not same:
            return None
        files[name] = same[0]
    return files


def _draws(files: dict[str, Path], resamples: int) -> Draws:
    with unpacked(files) as paths:
        names = listed_images(paths["images"])
        truth = restrict(read_json(paths["annotations"]), names, paths["images"])
        groups = groups_of(truth, paths["groups"])
        matches = match(truth, read_results(paths["predictions"]))
    whole = np.ones((1, len(groups)), dtype=np.int64)
    weights = np.concatenate([whole, group_weights(groups, resamples)])
    return mean_precision(weighted_precision(matches, weights))
