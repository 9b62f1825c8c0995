"""Scores by class: a file of all of them, and on the page a table a dataset and protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..columns import NAMED, record_of, start_notes
from ..numbers import percent
from ..records.cells import Entry, key_of
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Row, RowBlock, Shown, Table, anchor, word_column
from . import anomaly, classification, detection

ORDER = 30


def parts(study: StudyRecords) -> Iterator[Table]:
    """Scores by class of detectors, of classifiers and of what learns without defects, as far as the study has them."""
    detectors = detection.entries_of(study)
    if detectors:
        rows, _ = study.share(detection.compared)
        figures = {"ap50": "AP50", "ap50_95": "AP50-95"}
        order = [(row.dataset, row.protocol, row.method) for row in rows]
        yield from _tables("per_class", detectors, order, figures, "n_boxes")
    classifiers = classification.entries_of(study)
    if classifiers:
        rows = study.share(classification.rows_of)
        figures = {"recall": "recall", "precision": "precision", "f1": "F1"}
        order = [(row.dataset, row.protocol, row.method) for row in rows]
        name = "classification_per_class"
        yield from _tables(name, classifiers, order, figures, "n_images")
    others = anomaly.entries_of(study)
    if others:
        rows = study.share(anomaly.rows_of)
        figures = {"auroc": "AUROC", "escape_rate_val": "escapes"}
        order = [(row.dataset, row.protocol, row.method) for row in rows]
        yield from _tables("anomaly_per_class", others, order, figures, "n_images")


def _tables(
    name: str,
    entries: Sequence[Entry],
    order: Sequence[tuple[str, str, str]],
    figures: Mapping[str, str],
    counted: str,
) -> Iterator[Table]:
    """The file of all scores by class, and a table of the first two of them for each place."""
    columns = [
        NAMED,
        word_column("class_name", "class", NAME),
        *(
            Column(key, heading, "%", percent, priority=n)
            for n, (key, heading) in enumerate(figures.items(), 1)
        ),
        Column(counted, counted.removeprefix("n_")),
    ]
    rows = [
        Row(class_score(entry, class_name, figures, counted))
        for entry in entries
        for class_name in entry.first.accuracy["figures"]["per_class"]
    ]
    keys = ["dataset", "protocol", "method", "title", "class_name", *figures, counted]
    yield Table(name, "By class", columns, rows, fields=keys, formats=("csv",))
    by_key = {key_of(entry): entry for entry in entries}
    for place in dict.fromkeys(key[:2] for key in order):
        here = [by_key[key] for key in order if key[:2] == place]
        yield _matrix(f"{name}_{'_'.join(place)}", here, figures, counted)


def _matrix(name: str, entries: Sequence[Entry], figures: Mapping[str, str], counted: str) -> Table:
    """Methods by classes: the first figure, and smaller the second."""
    (first, first_heading), (second, second_heading) = list(figures.items())[:2]
    block = RowBlock(anchor=anchor(*key_of(entries[0])[:2]))
    classes = entries[0].first.accuracy["figures"]["per_class"]
    columns = [
        NAMED,
        *(
            Column(
                _key(class_name),
                class_name,
                f"{scores[counted]} {counted.removeprefix('n_')}",
                priority=HEADLINE + n,
            )
            for n, (class_name, scores) in enumerate(classes.items())
        ),
    ]
    rows = []
    for entry in entries:
        scores = {name: class_score(entry, name, figures, counted) for name in classes}
        shown = {
            _key(class_name): Shown(
                percent(score[first]),
                percent(score[second]),
                href=record_of(entry, "accuracy.json"),
                shade=None if score[first] is None else min(9, int(10 * score[first])),
            )
            for class_name, score in scores.items()
        }
        rows.append(Row({"title": entry.title}, shown, block, entry.first.is_control))
    note = f"{first_heading[0].upper()}{first_heading[1:]} in percent; below it, smaller, {second_heading}."
    notes = [note, *start_notes(entry.first.method for entry in entries)]
    return Table(name, "By class", columns, rows, notes, formats=("page",))


def _key(class_name: str) -> str:
    return f"class {class_name}"


def class_score(
    entry: Entry, class_name: str, figures: Mapping[str, str], counted: str
) -> dict[str, Any]:
    """Scores of a method on one class: means over seeds, None where the test part does not show the class."""
    seeds = [cell.accuracy["figures"]["per_class"][class_name] for cell in entry.cells]
    dataset, protocol, method = key_of(entry)
    return {
        "dataset": dataset,
        "protocol": protocol,
        "method": method,
        "title": entry.title,
        "class_name": class_name,
        **{key: _mean([seed[key] for seed in seeds]) for key in figures},
        counted: seeds[0][counted],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None
