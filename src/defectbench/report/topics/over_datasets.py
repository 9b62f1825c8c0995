"""Methods compared over all data sets of a study: which is better in the mean of the sets, and their mean ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from ..columns import SETTLING_NOTE, settling, start_notes
from ..numbers import interval, p_value, points
from ..records.across import (
    MeanRank,
    PooledPair,
    compare_over_sets,
    honest_entries,
    joined_groups,
    mean_ranks,
)
from ..records.cells import Entry, Key, key_of
from ..records.comparison import UNKNOWN, ByFigure
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Picture, Shown, Table, keys_of, row_of, word_column
from . import anomaly, classification, detection

ORDER = 55
RANKS = (
    "Mean rank over the sets (1 is best); small dots are single sets. A bar joins methods of which no two are told "
    "apart over all sets."
)
SECTION = "over_datasets"
COLUMNS = (
    word_column("figure", "figure", 2),
    word_column("first", "first", NAME),
    word_column("second", "second", NAME),
    Column(
        "difference", "mean difference in points", write=points, priority=HEADLINE, align="left"
    ),
    Column("p_corrected", "p", write=p_value, priority=4, align="left"),
    Column("n_ahead", "ahead on", write=str, priority=5, align="left"),
    Column("n_seeds", "seeds", write=str, priority=6, align="left"),
    Column("n_groups", "groups", write=str, priority=6, align="left"),
    word_column("verdict", "verdict", 3),
    Column("seeds_needed", "seeds that would settle it", write=str, priority=8, align="left"),
    word_column("given", "given networks on", 9),
)
POOLED_NOTE = (
    "Mean of the sets' own differences, each set counted once; its 95 % interval is over seeds and groups of all of "
    "them (Student, Satterthwaite's degrees of freedom). It is of these sets: what another set would do is not in it. "
    "P values are corrected by Holm's procedure over all pairs of a figure; intervals are not. Seeds: the fewest of "
    "either method on any set."
)


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """Pairs pooled over sets, and mean ranks, of the methods of each task; nothing where sets are too few."""
    for prefix, task in (
        ("", detection),
        ("classification_", classification),
        ("anomaly_", anomaly),
    ):
        entries = task.entries_of(study)
        if entries:
            runs = study.share(task.resampled)
            yield from _parts(prefix, entries, task.SCORES, runs)


def _parts(
    prefix: str,
    entries: Sequence[Entry],
    scores: Mapping[str, str],
    runs: Mapping[Key, ByFigure | None],
) -> Iterator[Table | Picture]:
    pairs = compare_over_sets(entries, list(scores), runs)
    if not pairs:
        return
    titles = {entry.first.method: entry.title for entry in entries}
    yield pooled_table(f"{prefix}over_datasets", pairs, titles, scores, left_out(entries))
    figure, heading = next(iter(scores.items()))
    ranks = mean_ranks(entries, figure)
    if ranks:
        yield _picture(prefix, ranks, pairs, titles, entries, (figure, heading))


def pooled_table(
    name: str,
    pairs: Sequence[PooledPair],
    titles: Mapping[str, str],
    scores: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Table:
    """Pooled pairs as a table.

    Args:
        name: Stem of its files.
        pairs: Methods beside each other.
        titles: Names of the methods in tables.
        scores: Headings of what they are compared in.
        notes: What stands last below it.
    """
    rows = []
    for pair in pairs:
        shown = {
            "figure": Shown(scores[pair.figure]),
            "first": Shown(titles[pair.first]),
            "second": Shown(titles[pair.second]),
            "difference": Shown(points(pair.difference), interval(points, pair.low, pair.high)),
            "n_ahead": Shown(f"{pair.n_ahead} of {pair.n_sets} sets"),
        }
        shown["seeds_needed"] = settling(pair)
        rows.append(row_of(pair, shown=shown))
    columns = [column for column in COLUMNS if column.key != "given" or any(p.given for p in pairs)]
    sets = dict.fromkeys(place for pair in pairs for place in pair.sets.split("; "))
    started = start_notes(name for pair in pairs for name in (pair.first, pair.second))
    below = [*started, *_given(pairs), POOLED_NOTE, SETTLING_NOTE, *notes]
    return Table(
        name=name,
        title="Over all data sets",
        columns=columns,
        rows=rows,
        notes=below,
        fields=keys_of(PooledPair),
        lead=f"Which method is better in the mean of {'; '.join(sets)}.",
        caption="Methods compared over all data sets.",
        formats=("csv", "md", "page"),
        anchor=SECTION,
    )


def _given(pairs: Sequence[PooledPair]) -> list[str]:
    """What pairs with a single seed on some set lack."""
    given = dict.fromkeys(place for pair in pairs for place in pair.given.split("; ") if place)
    if not given:
        return []
    return [
        f"On {'; '.join(given)} some methods have one seed: their networks are given there, and the noise of training "
        "on these sets is not in the interval."
    ]


def left_out(entries: Sequence[Entry]) -> list[str]:
    """Which parts of the study are not pooled, and why."""
    pooled = set(honest_entries(entries))
    places = {key_of(entry)[:2]: entry for entry in entries if key_of(entry)[:2] not in pooled}
    leaked = [", ".join(place) for place, entry in places.items() if entry.leak_share > 0]
    other = [", ".join(place) for place, entry in places.items() if not entry.leak_share]
    lines = []
    if leaked:
        lines.append(
            f"Not pooled, since test images show surface seen in training: {'; '.join(leaked)}."
        )
    if other:
        lines.append(
            "Not pooled, since a set counts under one protocol, and its test part needs two groups: "
            f"{'; '.join(other)}."
        )
    return lines


def _picture(
    prefix: str,
    ranks: Sequence[MeanRank],
    pairs: Sequence[PooledPair],
    titles: Mapping[str, str],
    entries: Sequence[Entry],
    scored: tuple[str, str],
) -> Picture:
    from ..figures.ranks import ranks_figure
    from ..figures.style import looks

    figure, heading = scored
    told = {
        frozenset((pair.first, pair.second))
        for pair in pairs
        if pair.figure == figure and pair.verdict != UNKNOWN
    }
    names = [rank.method for rank in ranks]
    groups = joined_groups(names, lambda a, b: frozenset((a, b)) in told)
    sets = len(ranks[0].ranks)
    return Picture(
        f"{prefix}ranks",
        partial(
            ranks_figure,
            ranks,
            groups,
            titles,
            looks(entries),
            f"rank by {heading}, mean of {sets} sets",
        ),
        f"mean rank of each method over {sets} data sets",
        " ".join([RANKS, *start_notes(names)]),
        SECTION,
    )
