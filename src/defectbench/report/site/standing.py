"""Where methods of a dataset stand: the front of score against speed, three to look at, and what is not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ...base.tasks import ANOMALY, CLASSIFICATION, DETECTION
from ..figures.pareto import pareto_front
from ..numbers import TIMES, number, percent
from ..records.comparison import UNKNOWN, Pair
from ..records.costs import of_whole_images
from ..records.study import StudyRecords
from ..topics import anomaly, classification, detection

MOST = 3
HEADINGS = {"map50": "mAP50", "balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}
RATIO, MILLISECONDS = "ratio_to_reference", "latency_ms_p50"
COST_TITLES = {
    RATIO: "time in times of the reference model",
    MILLISECONDS: "latency p50, ms (batch 1)",
}


@dataclass(frozen=True)
class Pick:
    """A method to look at.

    Attributes:
        row: Its row of the comparison.
        why: What it is first in.
    """

    row: Any
    why: str


@dataclass(frozen=True)
class Standing:
    """Methods of one dataset and protocol beside each other.

    Attributes:
        place: Dataset and protocol.
        figure: Key of the headline score, 0..1.
        heading: Its name.
        cost: Key of the figure of speed.
        rows: Methods, by falling score.
        controls: Programs that learn nothing.
        front: Names of the methods that no other beats in score and speed.
        picks: Those to look at.
        untold: Rows of the methods that are not told apart from the first.
        n_pairs: Number of pairs.
        n_untold: Number of those that are not told apart.
    """

    place: tuple[str, str]
    figure: str
    heading: str
    cost: str
    rows: Sequence[Any]
    controls: Sequence[Any]
    front: frozenset[str]
    picks: Sequence[Pick]
    untold: Sequence[Any]
    n_pairs: int
    n_untold: int

    @property
    def cost_title(self) -> str:
        """Words for the figure of speed."""
        return COST_TITLES[self.cost]

    def score_of(self, row: Any) -> str:
        """The headline score in percent."""
        return percent(getattr(row, self.figure))

    def cost_of(self, row: Any) -> str:
        """The figure of speed with its unit."""
        value = getattr(row, self.cost)
        unit = f"{TIMES} reference" if self.cost == RATIO else "ms"
        return f"{number(value)} {unit}" if value is not None else "not timed"


def standings(study: StudyRecords) -> list[Standing]:
    """The standing of each dataset and protocol that has methods, in the order of tables."""
    made = []
    for task, topic in (
        (DETECTION, detection),
        (CLASSIFICATION, classification),
        (ANOMALY, anomaly),
    ):
        if not topic.entries_of(study):
            continue
        if topic is detection:
            rows, pairs = study.share(detection.compared)
        else:
            rows, pairs = study.share(topic.rows_of), study.share(topic.compared)
        figure = task.headline_figure
        for _, block in groupby(rows, key=lambda row: (row.dataset, row.protocol)):
            here = [of_whole_images(row) for row in block]
            if not all(row.is_control for row in here):
                made.append(standing(here, pairs, figure, HEADINGS[figure]))
    return made


def standing(rows: Sequence[Any], pairs: Sequence[Pair], figure: str, heading: str) -> Standing:
    """The standing of the rows of one dataset and protocol.

    Args:
        rows: Methods and controls, at least one method.
        pairs: Comparisons, of this place and perhaps of others.
        figure: Key of the headline score.
        heading: Its name.
    """
    place = (rows[0].dataset, rows[0].protocol)
    methods = sorted((r for r in rows if not r.is_control), key=lambda r: -getattr(r, figure))
    here = [p for p in pairs if (p.dataset, p.protocol) == place and p.figure == figure]
    leader = methods[0].method
    untold = {
        name
        for pair in here
        if pair.verdict == UNKNOWN and leader in (pair.first, pair.second)
        for name in (pair.first, pair.second)
    } - {leader}
    cost = _cost(methods)
    timed = [row for row in methods if getattr(row, cost) is not None and row.latency_valid]
    points = {row.method: (getattr(row, cost), getattr(row, figure)) for row in timed}
    best = set(pareto_front(list(points.values())))
    front = frozenset(method for method, point in points.items() if point in best)
    return Standing(
        place=place,
        figure=figure,
        heading=heading,
        cost=cost,
        rows=methods,
        controls=[row for row in rows if row.is_control],
        front=front,
        picks=_picks(methods, timed, untold, front, (figure, heading, cost)),
        untold=[row for row in methods if row.method in untold],
        n_pairs=len(here),
        n_untold=sum(pair.verdict == UNKNOWN for pair in here),
    )


def _cost(methods: Sequence[Any]) -> str:
    """Ratios to the reference where all have one of whole images; milliseconds otherwise."""
    timed = [row for row in methods if row.latency_ms_p50 is not None]
    raced = timed and all(row.ratio_to_reference is not None for row in timed)
    return RATIO if raced and all(row.tile_px is None for row in timed) else MILLISECONDS


def _picks(
    methods: Sequence[Any],
    timed: Sequence[Any],
    untold: set[str],
    front: frozenset[str],
    words: tuple[str, str, str],
) -> list[Pick]:
    """The highest score, the fastest that is not told apart from it, the fastest of all; then others of the front."""
    figure, heading, cost = words
    leader = methods[0]
    whys: dict[str, list[str]] = {leader.method: [f"highest {heading}"]}
    by_cost = sorted(timed, key=lambda row: getattr(row, cost))
    equal = [row for row in by_cost if row.method in untold or row is leader]
    if equal:
        words_of = f"fastest of those not told apart from the highest {heading}"
        whys.setdefault(equal[0].method, []).append(words_of)
    able = [row for row in by_cost if not row.flags]
    if able:
        whys.setdefault(able[0].method, []).append("fastest")
    on_front = [row for row in methods if row.method in front and row.method not in whys]
    for row in sorted(on_front, key=lambda row: -getattr(row, figure))[: max(0, MOST - len(whys))]:
        whys[row.method] = ["no other is both faster and better"]
    by_method = {row.method: row for row in methods}
    return [Pick(by_method[method], "; ".join(why)) for method, why in whys.items()]
