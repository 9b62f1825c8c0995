"""What a table of trained methods says to someone who has to choose one, in a paragraph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..report.columns import start_notes
from ..report.records.comparison import UNKNOWN, Pair
from ..report.topics.detection.rows import DetectionRow
from .on_validation import Choice

FIGURE = "map50"
FINEST_STRIDE = 8  # of the grids of light detectors, pixels
TEST_SHARE = 0.2  # of the groups of a set
ENOUGH_SEEDS = 3
SIDE_STEP = 32


@dataclass(frozen=True)
class DefectSides:
    """Shorter sides of boxes as shares of their picture's longer side.

    Attributes:
        small: Below it lie 5 % of them.
        small_px: The same in pixels of the pictures.
    """

    small: float
    small_px: float

    def at(self, side: int) -> float:
        """The small side at an input, pixels."""
        return self.small * side

    def needed_side(self) -> int:
        """Side of the input at which a small defect is as long as the finest stride, a multiple of 32 pixels."""
        return math.ceil(FINEST_STRIDE / self.small / SIDE_STEP - 1e-9) * SIDE_STEP


def defect_sides(
    images: Sequence[Mapping[str, float]], annotations: Sequence[Mapping]
) -> DefectSides:
    """Sides of defects from COCO images and annotations; there is at least one."""
    longer = {image["id"]: max(image["width"], image["height"]) for image in images}
    shorter = np.array([min(box["bbox"][2:]) for box in annotations])
    shares = shorter / np.array([longer[box["image_id"]] for box in annotations])
    return DefectSides(float(np.quantile(shares, 0.05)), float(np.quantile(shorter, 0.05)))


def front(rows: Sequence[DetectionRow]) -> list[DetectionRow]:
    """Methods that no other one beats in score and in time, the fastest first."""
    methods = [row for row in rows if not row.is_control and row.ratio_to_reference is not None]

    def beaten(row: DetectionRow) -> bool:
        return any(
            other.map50 >= row.map50
            and time_of(other) <= time_of(row)
            and (other.map50, time_of(other)) != (row.map50, time_of(row))
            for other in methods
        )

    return sorted((row for row in methods if not beaten(row)), key=time_of)


def time_of(row: DetectionRow) -> float:
    """Its time as a multiple of the reference model's; infinity where it was not timed."""
    return row.ratio_to_reference if row.ratio_to_reference is not None else math.inf


def alike(rows: Sequence[DetectionRow], pairs: Sequence[Pair]) -> list[DetectionRow]:
    """The method that scores highest, and those that cannot be told apart from it; the fastest first."""
    methods = [row for row in rows if not row.is_control]
    best = max(methods, key=lambda row: row.map50)
    same = {best.method} | {
        other
        for pair in pairs
        if pair.figure == FIGURE
        and best.method in (pair.first, pair.second)
        and pair.verdict == UNKNOWN
        for other in (pair.first, pair.second)
    }
    return sorted((row for row in methods if row.method in same), key=time_of)


def choice_words(choice: Choice, rows: Sequence[DetectionRow]) -> str:
    """Which method is taken, by what, and what it scores on the test part, which had no say in it.

    Args:
        choice: The choice on validation.
        rows: Of one dataset and protocol.
    """
    titles = {row.method: row.title for row in rows}
    row = next(row for row in rows if row.method == choice.method)
    there = choice.scores[choice.method]
    words = (
        f"Taken is {row.title}, by the validation part alone, where it scores {100 * there:.1f} %: "
    )
    if choice.method == choice.best:
        words += "the highest, and none within 5 points of it that is not told apart is faster."
    else:
        words += (
            f"the fastest within 5 points of the best there, {titles[choice.best]} with "
            f"{100 * choice.scores[choice.best]:.1f} %, that is not told apart from it."
        )
    words += f" On the test part it scores {_score(row)}."
    if row.flags:
        words += " It has not learnt: give it more time before it is deployed."
    return words


def paragraph(
    rows: Sequence[DetectionRow], pairs: Sequence[Pair], sides: DefectSides, side: int
) -> str:
    """The answer in words: the front, what is not told apart, what would settle it, what small defects need.

    Args:
        rows: Of one dataset and protocol, controls among them.
        pairs: Their comparisons.
        sides: How small defects are.
        side: Side of the input that was trained with, pixels.
    """
    sentences = [_front_words(rows), _alike_words(rows, pairs)]
    sentences += _settling(rows, pairs)
    sentences += _unlearnt(rows)
    sentences += start_notes(row.method for row in rows)
    sentences.append(_side_words(sides, side))
    return " ".join(sentences)


def _front_words(rows: Sequence[DetectionRow]) -> str:
    best = front(rows)
    told = [f"{row.title} ({_score(row)}, {time_of(row):.2f} times the reference)" for row in best]
    others = [r.title for r in rows if not r.is_control and r not in best]
    beaten = (
        f"; {_and(others)} {'is' if len(others) == 1 else 'are'} beaten in both" if others else ""
    )
    return f"On the front of mAP50 against time: {_and(told)}{beaten}."


def _score(row: DetectionRow) -> str:
    return f"{100 * row.map50:.1f} % [{100 * row.map50_low:.1f}, {100 * row.map50_high:.1f}]"


def _alike_words(rows: Sequence[DetectionRow], pairs: Sequence[Pair]) -> str:
    methods = [row for row in rows if not row.is_control]
    best = max(methods, key=lambda row: row.map50)
    same = [row.title for row in alike(rows, pairs) if row.method != best.method]
    if len(methods) == 1:
        return f"{best.title} is the only method that was trained."
    if not same:
        return f"{best.title} scores distinguishably the highest."
    return f"{best.title} scores highest, and {_and(same)} cannot be told apart from it."


def _settling(rows: Sequence[DetectionRow], pairs: Sequence[Pair]) -> list[str]:
    """How many groups would tell the nearest rival of the best apart, were the difference what was seen."""
    best = max((row for row in rows if not row.is_control), key=lambda row: row.map50)
    open_pairs = [
        pair
        for pair in pairs
        if pair.figure == FIGURE
        and best.method in (pair.first, pair.second)
        and pair.verdict == UNKNOWN
    ]
    if not open_pairs:
        return []
    pair = max(open_pairs, key=lambda pair: pair.difference)
    half = (pair.high - pair.low) / 2
    rival = pair.second if pair.first == best.method else pair.first
    title = next(row.title for row in rows if row.method == rival)
    seeds = best.n_seeds
    told = f"The clearest of these, {title}, is {100 * pair.difference:.1f} points lower, +- {100 * half:.1f}"
    told += f" with {pair.n_groups} groups of test pictures"
    words = [f"{told}."]
    if pair.difference > 0:
        groups = max(pair.n_groups + 1, math.ceil(pair.n_groups * (half / pair.difference) ** 2))
        words.append(
            f"Were that the difference, {groups} groups would settle it, {math.ceil(groups / TEST_SHARE)} in all."
        )
    else:
        words.append("No number of pictures settles a difference of nothing: take the faster one.")
    if seeds < ENOUGH_SEEDS:
        plural = "seed was" if seeds == 1 else "seeds were"
        words.append(
            f"{seeds} {plural} trained, which says little of the noise of training: {ENOUGH_SEEDS} would, "
            f"in {ENOUGH_SEEDS / seeds:.1f} times the time."
        )
    return words


def _unlearnt(rows: Sequence[DetectionRow]) -> list[str]:
    flagged = [f"{row.title} ({row.flags})" for row in rows if row.flags and not row.is_control]
    if not flagged:
        return []
    return [f"Not to be trusted, since controls that learn nothing say otherwise: {_and(flagged)}."]


def _side_words(sides: DefectSides, side: int) -> str:
    at = sides.at(side)
    told = (
        f"A defect of the smallest 5 % has a shorter side of {sides.small_px:.0f} pixels, {at:.1f} at the input of "
        f"{side}, where the finest grid has a stride of {FINEST_STRIDE}"
    )
    needed = sides.needed_side()
    if needed <= side:
        return f"{told}: the input is large enough."
    return f"{told}: such defects need an input of {needed} pixels, or tiles of {side} pixels on larger pictures."


def _and(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    Example:
        >>> _and(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
