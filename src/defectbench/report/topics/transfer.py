"""What a start from published weights is worth: each such row beside the same method from scratch, of equal budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ...base.compressions import base_method
from ...base.variants import data_title, variant_of
from ..numbers import interval, p_value, percent, points, whole
from ..records.cells import Entry, Key, epochs_of, key_of, method_title
from ..records.comparison import UNKNOWN, ByFigure, compare_entries, score_interval
from ..records.starts import (
    Trained,
    differing_fields,
    is_plain,
    pairs_of_starts,
    trained_as,
)
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Picture, Shown, Table, keys_of, row_of, word_column
from . import anomaly, classification, detection

ORDER = 15
GROWING: tuple[tuple[Literal["train_images", "epochs"], str], ...] = (
    ("train_images", "pictures"),
    ("epochs", "epochs"),
)
SECTION = "transfer"
TOPICS = (  # of a task: what rows are compared in, and what stands before the names of its files
    (detection, "map50_95", ""),
    (classification, "accuracy", "classification_"),
    (anomaly, "auroc", "anomaly_"),
)
COLUMNS = (
    word_column("title", "method", NAME),
    word_column("dataset", "dataset", 5),
    word_column("protocol", "protocol", 6),
    Column("train_images", "training images", write=whole, priority=2),
    Column("epochs", "epochs", write=whole, priority=2),
    word_column("start", "start", 4),
    Column("scratch", "from scratch", "%", percent, priority=3),
    Column("started", "from weights", "%", percent, priority=3),
    Column("gain", "gain in points", write=points, priority=HEADLINE, align="left"),
    Column("p_value", "p", write=p_value, priority=7, align="left"),
    Column("n_seeds", "seeds", write=whole, priority=8),
    Column("n_images", "test images", write=whole, priority=9),
    word_column("verdict", "verdict", 4),
)
RECIPE = word_column("other_recipe", "the recipes differ in", 4)


@dataclass(frozen=True)
class StartGain:
    """A method from published weights beside the same from scratch.

    Attributes:
        title: Name of the method in tables.
        dataset: Name of the set.
        protocol: How its parts are made.
        figure: What both are compared in.
        train_images: Images of the training part.
        epochs: Passes over them.
        start: What the weights were trained on.
        scratch: Score from scratch, a mean over seeds.
        started: Score from the weights.
        gain: The second minus the first.
        gain_low: Lower end of its 95 % interval.
        gain_high: Upper end.
        p_value: Two-sided; None where intervals were compared.
        n_seeds: The fewest seeds of either.
        n_images: Images of the test part.
        n_groups: Groups of the test part.
        verdict: Which is better, or that it cannot be told.
        other_recipe: Fields that the recipes of both differ in; empty where the start is all that differs.
    """

    title: str
    dataset: str
    protocol: str
    figure: str
    train_images: int
    epochs: int
    start: str
    scratch: float
    started: float
    gain: float
    gain_low: float
    gain_high: float
    p_value: float | None
    n_seeds: int
    n_images: int
    n_groups: int
    verdict: str
    other_recipe: str = ""


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """Gains task by task, and scores against pictures and epochs; nothing without such starts."""
    for task, figure, prefix in TOPICS:
        entries = [entry for entry in task.entries_of(study) if is_plain(entry)]
        if not any(variant_of(entry.first.method).start for entry in entries):
            continue
        runs = study.share(task.resampled)
        titles = {
            e.first.method: method_title(base_method(e.first.method), study.models_dir)
            for e in entries
        }
        gains = [_gain(*pair, figure, runs, titles) for pair in pairs_of_starts(entries)]
        trained = [trained_as(entry, figure, runs, study.models_dir) for entry in entries]
        yield gain_table(f"{prefix}transfer", gains, task.SCORES[figure])
        yield from _pictures(prefix, trained, task.SCORES[figure])


def _gain(
    scratch: Entry,
    started: Entry,
    figure: str,
    runs: Mapping[Key, ByFigure | None],
    titles: Mapping[str, str],
) -> StartGain:
    here = {entry.first.method: runs.get(key_of(entry)) for entry in (scratch, started)}
    (pair,) = compare_entries([scratch, started], figures=(figure,), runs=here)
    is_ahead = pair.first == started.first.method
    sign = 1 if is_ahead else -1
    ends = sorted((sign * pair.low, sign * pair.high))
    start = data_title(variant_of(started.first.method).start or "")
    better = f"from {start} is better" if is_ahead else "from scratch is better"
    assert started.first.train is not None
    scores = [
        score_interval(entry, figure, here[entry.first.method]).estimate
        for entry in (scratch, started)
    ]
    return StartGain(
        title=titles[scratch.first.method],
        dataset=pair.dataset,
        protocol=pair.protocol,
        figure=figure,
        train_images=started.certificate["figures"]["images"]["train"],
        epochs=epochs_of(started.first.train),
        start=start,
        scratch=scores[0],
        started=scores[1],
        gain=sign * pair.difference,
        gain_low=ends[0],
        gain_high=ends[1],
        p_value=pair.p_value,
        n_seeds=min(len(scratch.cells), len(started.cells)),
        n_images=started.first.accuracy["figures"]["n_images"],
        n_groups=pair.n_groups,
        verdict=UNKNOWN if pair.verdict == UNKNOWN else better,
        other_recipe=", ".join(differing_fields(scratch, started)),
    )


def gain_table(name: str, gains: Sequence[StartGain], heading: str) -> Table:
    """Gains as a table.

    Args:
        name: Stem of its files.
        gains: Methods from published weights beside the same from scratch.
        heading: Name of the score.
    """
    ordered = sorted(gains, key=lambda p: (p.dataset, p.protocol, p.title, p.epochs, p.start))
    rows = [
        row_of(
            gain,
            shown={
                "gain": Shown(points(gain.gain), interval(points, gain.gain_low, gain.gain_high))
            },
        )
        for gain in ordered
    ]
    notes = [
        "Gain: the score from published weights minus that from scratch, of one method with one training part, size, "
        "batch, tiles and number of epochs, with its 95 % interval; each line is a comparison of its own, none is "
        "corrected for the others.",
        "What others spent on the weights is not in any time of training.",
    ]
    if any(gain.n_seeds == 1 for gain in gains):
        notes.insert(
            1, "With one seed the networks are given: the noise of training is not in the interval."
        )
    is_mixed = any(gain.other_recipe for gain in gains)
    if is_mixed:
        notes.append(
            "Where the recipes differ, the gain is of start and recipe together, not of the start alone."
        )
    return Table(
        name=name,
        title="From published weights and from scratch",
        columns=(*COLUMNS, RECIPE) if is_mixed else COLUMNS,
        rows=rows,
        notes=notes if rows else [],
        fields=keys_of(StartGain),
        lead=f"What a start from published weights is worth, in {heading}.",
        empty="No row from scratch has the parts and the budget of one from published weights.",
        caption=f"{heading} from published weights and from scratch.",
        formats=("csv", "md", "tex", "page"),
        anchor=SECTION,
    )


def _pictures(prefix: str, trained: Sequence[Trained], heading: str) -> Iterator[Picture]:
    from ..figures.transfer import curves_of, transfer_figure

    for by, axis in GROWING:
        curves = curves_of(trained, by)
        if curves:
            yield Picture(
                f"{prefix}transfer_{axis}",
                partial(transfer_figure, curves, by, f"{heading}, %"),
                f"{heading} against {axis}, from published weights and from scratch",
                f"Score against {axis}. Filled and solid: from published weights; hollow and dashed: from scratch. "
                "Bars are 95 % intervals.",
                SECTION,
            )
