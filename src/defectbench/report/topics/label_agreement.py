"""Label noise: how far the labels of each set agree with themselves, and scores by class beside that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from ...measure.label_noise import LabelNoise, SetNoise, label_noise
from ..numbers import percent
from ..records.cells import key_of
from ..records.certificates import data_folder
from ..records.study import StudyRecords
from ..table import (
    HEADLINE,
    NAME,
    Column,
    Picture,
    RowBlock,
    Table,
    anchor,
    keys_of,
    row_of,
    word_column,
)
from . import detection

ORDER = 31
ALL = "all classes"
FILES = ("annotations.json", "overlaps.csv", "groups.csv")
COLUMNS = (
    word_column("class_name", "class", NAME),
    Column("agreement50", "agree at IoU 0.5", "%", percent, priority=HEADLINE),
    Column("agreement75", "agree at IoU 0.75", "%", percent, priority=2),
    Column("n_checks", "boxes", write=str, priority=3),
    Column("n_groups", "groups", write=str, priority=4),
)
NOTES = (
    "A box that another image of the same surface shows, too, is held against that image's annotation: it agrees where "
    "the other has a box of its class at that IoU. Pairs share 30 % of their area at least; both ways count. The 95 % "
    "interval is over groups of images.",
    "Average precision is no agreement, and this is no ceiling: scores far above it deserve doubt, as labels that were "
    "remembered score so. The ceiling is a control, half the label jitter.",
)


@dataclass(frozen=True)
class AgreementRow:
    """Agreement of the labels of one class of a set; shares with the ends of their 95 % intervals over groups."""

    dataset: str
    class_name: str
    n_checks: int
    n_groups: int
    agreement50: float
    agreement50_low: float | None
    agreement50_high: float | None
    agreement75: float
    agreement75_low: float | None
    agreement75_high: float | None


def noise_of_sets(study: StudyRecords) -> dict[str, SetNoise]:
    """Label noise of the sets of detectors whose data are at hand, by name."""
    folders = {
        entry.first.dataset: data_folder(entry.first.folder)
        for entry in detection.entries_of(study)
    }
    return {
        dataset: label_noise(folder)
        for dataset, folder in folders.items()
        if all((folder / name).is_file() for name in FILES)
    }


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """The table of agreement, and scores by class with it as a band; nothing where no data are at hand."""
    noises = study.share(noise_of_sets)
    if not noises:
        return
    yield agreement_table(noises)
    yield from _pictures(study, noises)


def agreement_table(noises: Mapping[str, SetNoise]) -> Table:
    """Agreement by class as a table; a set without objects that were annotated twice is named in a note."""
    rows = []
    for dataset, noise in noises.items():
        by_class = {**noise.per_class, **({ALL: noise.all} if noise.all else {})}
        block = RowBlock(f"{dataset}: {noise.n_pairs:,} pairs of images show the same surface")
        rows += [row_of(_row(dataset, name, one), block=block) for name, one in by_class.items()]
    unknown = [_nothing(dataset, noise) for dataset, noise in noises.items() if noise.all is None]
    return Table(
        name="label_agreement",
        title="Label noise",
        columns=COLUMNS,
        rows=rows,
        notes=[*(NOTES if rows else ()), *(unknown if rows else ())],
        fields=keys_of(AgreementRow),
        lead="How far the labels of a set agree with themselves, from surfaces that were annotated twice.",
        empty=" ".join(unknown),
    )


def _nothing(dataset: str, noise: SetNoise) -> str:
    """Why nothing is known of a set's label noise."""
    if not noise.n_pairs:
        return (
            f"{dataset}: no two images show the same surface, so that no object was annotated twice; how far its "
            "labels agree is not known."
        )
    return (
        f"{dataset}: {noise.n_pairs:,} pairs of images share surface, but none shows a whole object twice; how far its "
        "labels agree is not known."
    )


def _row(dataset: str, class_name: str, noise: LabelNoise) -> AgreementRow:
    at50, at75 = noise.agreement50, noise.agreement75
    return AgreementRow(
        dataset,
        class_name,
        noise.n_checks,
        noise.n_groups,
        *(at50.share, at50.low, at50.high),
        *(at75.share, at75.low, at75.high),
    )


def _pictures(study: StudyRecords, noises: Mapping[str, SetNoise]) -> Iterator[Picture]:
    from ..figures.classes import classes_figure
    from ..figures.style import looks

    entries = detection.entries_of(study)
    style = looks(entries)
    methods = [entry for entry in entries if not entry.first.is_control]
    for place, block in groupby(methods, key=lambda entry: key_of(entry)[:2]):
        noise = noises.get(place[0])
        if noise is None or noise.all is None:
            continue
        yield Picture(
            f"classes_{'_'.join(place)}",
            partial(classes_figure, list(block), noise.per_class, style),
            "AP50 and AP75 of each method by class, with the agreement of the labels",
            "Scores by class. The grey band is how far two annotations of one object agree at that IoU (95 % "
            "interval): a soft mark and no ceiling.",
            anchor(*place),
        )
