"""Classifiers: their comparison, and the figures and runs behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from ....base.tasks import CLASSIFICATION
from ....measure.classification import FIGURES
from ...columns import (
    COUNTED,
    NAMED,
    PRECISION,
    RATIO,
    hardware_notes,
    interval_notes,
    mark_notes,
    measured_column,
    pair_table,
    precision_notes,
    runs_table,
    score_column,
    start_notes,
    titles_of,
    whole_column,
)
from ...comparisons import comparison_table, pairs_by_place
from ...numbers import TIMES, number, percent, points
from ...records.cells import Entry, Key, key_of
from ...records.comparison import CLASS_FIGURES, ByFigure, Pair
from ...records.study import StudyRecords
from ...table import HEADLINE, Column, Picture, Table, anchor
from ...training_noise import noise_notes
from .rows import ClassificationRow, build_rows, runs_of_entries
from .widths import check_equal_widths

ORDER = 20
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced"}
COLUMNS = (
    NAMED,
    whole_column("size_px", "size", "px", 12),
    whole_column("epochs", "epochs", "", 11),
    score_column("accuracy", "accuracy", HEADLINE),
    score_column("balanced_accuracy", "balanced", 2),
    score_column("macro_f1", "macro F1", 10),
    COUNTED,
    Column("accuracy_before", "cut, unlearnt", "%", percent, priority=8),
    Column("accuracy_gain", "gain on base", "points", points, percent, priority=7),
    measured_column("params_m", "params", "M", 5),
    Column("params_ratio", "fewer", TIMES, number, priority=6),
    measured_column("macs_g", "MACs", "G", 9),
    measured_column("size_mib", "file", "MiB", 13),
    RATIO,
    measured_column("latency_ms_p50", "p50", "ms", 4),
    Column("ratio_to_base", "to base", TIMES, number, priority=6),
    PRECISION,
    whole_column("train_s", "train", "s", 14),
)


def entries_of(study: StudyRecords) -> list[Entry]:
    """The classifiers of a study and their controls."""
    return study.of_task(CLASSIFICATION.name)


def rows_of(study: StudyRecords) -> list[ClassificationRow]:
    """Rows of the table.

    Raises:
        ReportError: Controls of a cut have other widths, or a teacher was scored on another test part.
    """
    entries = entries_of(study)
    check_equal_widths(entries)
    return build_rows(entries, study.share(resampled))


def resampled(study: StudyRecords) -> dict[Key, ByFigure | None]:
    """Scores of all seeds of each classifier on resamples of its test part."""
    return runs_of_entries(entries_of(study))


def compared(study: StudyRecords) -> list[Pair]:
    """All classifiers of each dataset and protocol: bases, what is cut from them, and controls of the cut."""
    return pairs_by_place(entries_of(study), CLASS_FIGURES, study.share(resampled))


def pairs_of(study: StudyRecords) -> Table:
    """Classifiers compared with each other."""
    entries = entries_of(study)
    notes = noise_notes(study.share(rows_of), entries, "accuracy", "accuracy")
    pairs = study.share(compared)
    return pair_table("classification_pairs", pairs, titles_of(entries), SCORES, notes)


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """The table of classifiers, its figures and its runs; nothing without classifiers."""
    entries = entries_of(study)
    if not entries:
        return
    rows, pairs = study.share(rows_of), study.share(pairs_of)
    yield comparison_table(
        "classification",
        "Classification",
        COLUMNS,
        rows,
        entries,
        (*FIGURES, "n_seeds"),
        classification_notes(rows, entries),
        "Accuracy and cost of classifiers.",
        below=[pairs] if pairs.rows else [],
    )
    yield runs_table("classification_runs", entries, SCORES)
    yield from _pictures(rows, entries)


def _pictures(rows: Sequence[ClassificationRow], entries: Sequence[Entry]) -> Iterator[Picture]:
    from ...figures.confusion import confusion_figure
    from ...figures.curves import curves_figure
    from ...figures.style import looks

    style = looks(entries)
    by_key = {key_of(entry): entry for entry in entries}
    for place, block in groupby(rows, key=lambda row: (row.dataset, row.protocol)):
        here = [by_key[*place, row.method] for row in block if not row.is_control]
        if not here:
            continue
        name = "_".join(place)
        yield Picture(
            f"confusion_{name}",
            partial(confusion_figure, here),
            "confusion matrix of each method",
            "What is taken for what. Colour is the share of the true class, numbers are images of all seeds.",
            anchor(*place),
        )
        yield Picture(
            f"curves_{name}",
            partial(curves_figure, here, style),
            "training loss and validation accuracy by epoch",
            "Training. A compressed method shows its last stage, whose loss is that of its teachers.",
            anchor(*place),
        )


def classification_notes(rows: Sequence[ClassificationRow], entries: Sequence[Entry]) -> list[str]:
    """Sentences that say what the numbers are, on what they were measured, and what marks mean."""
    lines = noise_notes(rows, entries, "accuracy", "accuracy")
    lines += start_notes(row.method for row in rows)
    lines += interval_notes(rows)
    lines.append(
        "Balanced accuracy is the mean recall of the classes; F1 is the plain mean over classes."
    )
    lines += hardware_notes(entries, "preprocessing, network, choice of the class")
    if any(row.params_ratio is not None for row in rows):
        lines.append(
            "Compressed methods: accuracy of the cut network before it learnt again; gain: accuracy minus that of the "
            "base on the same images; latency over that of the base in the same processes; training "
            "holds all stages. A thin network has the widths from scratch and learns labels, for the epochs of all "
            "trainings behind its siblings."
        )
    taught = [row for row in rows if row.teacher_c_accuracy is not None]
    if taught:
        scores = [
            f"{row.title} on {row.dataset}, {row.protocol}, {percent(row.teacher_c_accuracy)} and "
            f"{percent(row.teacher_c_balanced_accuracy)}"
            for row in taught
        ]
        lines.append(
            f"Accuracy and balanced accuracy of teacher C, not deployed: {'; '.join(scores)}."
        )
    lines += _epoch_notes(rows, entries)
    lines += precision_notes(rows)
    lines += mark_notes(rows)
    lines += [f"{row.title} is {row.flags}." for row in rows if row.flags]
    if any(row.is_control for row in rows):
        lines.append("Below the rule: controls, which learn nothing.")
    return lines


def _epoch_notes(rows: Sequence[ClassificationRow], entries: Sequence[Entry]) -> list[str]:
    """Which epoch's weights are scored, and the accuracy on validation."""
    keep_last = {key_of(entry) for entry in entries if all(c.keeps_last for c in entry.cells)}
    best, last = [], []
    for row in rows:
        if row.val_accuracy is None:
            continue
        scored = percent(row.val_accuracy)
        if (row.dataset, row.protocol, row.method) in keep_last:
            last.append(f"{row.title} {scored}")
        else:
            best.append(f"{row.title} {scored} and {percent(row.val_accuracy_last)}")
    lines = []
    if best:
        lines.append(
            "Weights are those of the best epoch on validation; its accuracy there and that of the last epoch: "
            f"{'; '.join(best)}."
        )
    if last:
        lines.append(
            f"Weights are those of the last epoch; its accuracy on validation: {'; '.join(last)}."
        )
    return lines
