"""Which pictures may show one surface? Candidates from an index of local features, for the proof to judge.

Descriptors are sorted into cells round typical ones; a feature is compared with those of the nearest cells
alone. Two alike say how one picture would lie in the other, and such votes for one place add up. Time grows
with the features of a cell, not with the pairs of a set, and memory with the pictures alone: they are asked
in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.records import usable_cores
from .coco import Grey
from .keypoints import VIEW, Features, features, mirrored_descriptors, unit_descriptors

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

ALIKE = 0.88  # least cosine of two descriptors
PROBES = 4  # cells that a feature is compared with
LIKEST = 48  # of a feature; more say that it is common
MEMBERS, MOST_CELLS, SAMPLES, ROUNDS = 350, 4096, 32, 6  # features of a cell; of its mean's search
BLOCK, CHUNK, PROBED = (
    128,
    4096,
    512,
)  # at once: pictures asked, descriptors, those laid beside all cells
SHIFTS, STRONG_SHIFT = 64, 1.5  # candidates of a picture: so many, and every stronger one
TURNED, LEAST_AGREEING = (
    16,
    5,
)  # candidates of a picture under another scale or turn; features that agree
SHIFT_TURN, SHIFT_ZOOM = 20.0, 0.5  # what a shift's features may differ by: degrees, powers of 2
LEAST_TURN, LEAST_ZOOM = 8.0, 0.25  # what a view differs by from a shift
MOST_ZOOM = 1.6  # powers of 2 between two scales
PLACE, TURNED_PLACE, TURN, ZOOM = (
    8.0,
    24.0,
    30.0,
    0.6,
)  # bins of votes: view pixels, degrees, powers of 2


class View(NamedTuple):
    """How one picture may lie in another.

    Attributes:
        i: Number of the first picture.
        j: Number of the second; i < j.
        mirrored: Whether the second was mirrored, left to right.
        to_first: Affine map [2, 3] from points of the second (after mirroring x to -x) to the first's.
        votes: Features that agree.
    """

    i: int
    j: int
    mirrored: bool
    to_first: NDArray[np.float64]
    votes: int


class Candidates(NamedTuple):
    """What the proof has to look at.

    Attributes:
        shifts: Pairs of numbers i < j, in order.
        views: Turned, mirrored or rescaled views, one a pair, in order.
    """

    shifts: list[tuple[int, int]]
    views: list[View]


class _Votes(NamedTuple):
    """Features alike, one a row: the asking feature, the answering one, mirrored or not, the weight."""

    asking: Ints
    answering: Ints
    mirrored: NDArray[np.bool_]
    weight: Floats

    def some(self, rows: Ints) -> _Votes:
        """These rows."""
        asking, answering, mirrored, weight = self
        return _Votes(asking[rows], answering[rows], mirrored[rows], weight[rows])


def find_candidates(pictures: Sequence[Grey], side: int) -> Candidates:
    """Pairs of pictures with features in common that lie alike.

    Args:
        pictures: uint8 [H, W] each, all at one scale; sizes may differ.
        side: Longest side of the set, pixels.
    """
    with _one_thread_each(), ThreadPoolExecutor(usable_cores()) as pool:
        seen = list(
            pool.map(lambda row: features(pictures[row], VIEW / side), range(len(pictures)))
        )
        if not any(len(each.points) for each in seen):
            return Candidates([], [])
        index = _Index(
            seen, [pictures[row].shape[::-1] for row in range(len(pictures))], side, pool
        )
        blocks = range(0, len(pictures), BLOCK)
        answers = pool.map(lambda start: index.ask(start, start + BLOCK), blocks)
        shifts: set[tuple[int, int]] = set()
        views: dict[tuple[int, int], View] = {}
        for pairs, turned in answers:
            shifts |= pairs
            for view in turned:
                best = views.get((view.i, view.j))
                if best is None or view.votes > best.votes:
                    views[view.i, view.j] = view
    return Candidates(sorted(shifts), [views[pair] for pair in sorted(views)])


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenCV's own threads rest while pictures are shared out among ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class _Index:
    """All features of a set, sorted by the cell of their descriptors."""

    def __init__(
        self,
        seen: list[Features],
        sizes: Sequence[tuple[int, ...]],
        side: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        counts = [len(each.points) for each in seen]
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.picture = np.repeat(np.arange(len(seen)), counts)
        self.points = np.concatenate([each.points for each in seen])
        self.sizes = np.concatenate([each.sizes for each in seen])
        self.angles = np.concatenate([each.angles for each in seen])
        self.descriptors = np.concatenate([each.descriptors for each in seen])
        lengths = np.concatenate(
            [np.linalg.norm(each.descriptors.astype(np.float32), axis=1) for each in seen]
        )
        self.inverse_lengths = (1 / np.maximum(lengths, 1)).astype(np.float32)
        self.centres = np.asarray(sizes, np.float32) / 2
        self.per_view = side / VIEW
        self.pool = pool
        self.means = self._cell_means()
        nearest = np.concatenate(
            list(pool.map(self._nearest_cell, range(0, len(self.points), CHUNK)))
        )
        self.members = np.argsort(nearest, kind="stable")
        self.bounds = np.searchsorted(nearest[self.members], np.arange(len(self.means) + 1))

    def _cell_means(self) -> Floats:
        """Typical descriptors [cells, 128]: a few rounds of k-means on a sample."""
        cells = int(np.clip(len(self.points) // MEMBERS, 1, MOST_CELLS))
        random = np.random.default_rng(0)
        rows = random.choice(
            len(self.points), min(len(self.points), cells * SAMPLES), replace=False
        )
        sample = unit_descriptors(self.descriptors[rows])
        means = sample[:cells].copy()
        for _ in range(ROUNDS):
            parts = range(0, len(sample), CHUNK)
            likest = self.pool.map(lambda s: (sample[s : s + CHUNK] @ means.T).argmax(1), parts)
            nearest = np.concatenate(list(likest))
            order = np.argsort(nearest, kind="stable")
            bounds = np.searchsorted(nearest[order], np.arange(cells + 1))
            for cell in np.flatnonzero(np.diff(bounds)):
                mean = sample[order[bounds[cell] : bounds[cell + 1]]].mean(0)
                means[cell] = mean / np.linalg.norm(mean)
        return means

    def _nearest_cell(self, start: int) -> Ints:
        return (unit_descriptors(self.descriptors[start : start + CHUNK]) @ self.means.T).argmax(1)

    def ask(self, start: int, stop: int) -> tuple[set[tuple[int, int]], list[View]]:
        """The candidates of the pictures numbered from start to stop."""
        low, high = self.first[start], self.first[min(stop, len(self.first) - 1)]
        if low == high:
            return set(), []
        votes = self._alike(int(low), int(high))
        return self._shifts(votes), list(self._views(votes))

    def _alike(self, low: int, high: int) -> _Votes:
        """What is like the features from low to high, and like their mirror images."""
        plain = self.descriptors[low:high]
        wanted = unit_descriptors(np.concatenate([plain, mirrored_descriptors(plain)]))
        rows, bounds = self._probed(wanted)
        counts = np.zeros(len(wanted), np.int64)
        parts = []
        for cell in np.flatnonzero(np.diff(bounds)):
            members = self.members[self.bounds[cell] : self.bounds[cell + 1]]
            asked = rows[bounds[cell] : bounds[cell + 1]]
            for at in range(0, len(members), CHUNK):
                some = members[at : at + CHUNK]
                there = self.descriptors[some].astype(np.float32) * self.inverse_lengths[some, None]
                likeness = wanted[asked] @ there.T
                likeness[self.picture[low + asked % len(plain)][:, None] == self.picture[some]] = 0
                alike_here = np.count_nonzero(likeness > ALIKE, axis=1)
                np.add.at(counts, asked, alike_here)
                crowded = np.flatnonzero(alike_here > LIKEST)  # no need to hold more than are kept
                if len(crowded):
                    least = np.partition(likeness[crowded], -LIKEST, axis=1)[:, -LIKEST, None]
                    likeness[crowded] *= likeness[crowded] >= least
                likeness = likeness.ravel()
                alike = np.flatnonzero(likeness > ALIKE)
                row, member = asked[alike // len(some)], some[alike % len(some)]
                parts.append((row, member, likeness[alike]))
        row, member, likeness = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(row - 0.5 * likeness, kind="stable")  # by feature, the likest first
        row, member, likeness = row[order], member[order], likeness[order]
        held = np.bincount(row, minlength=len(wanted))
        rank = np.arange(len(row)) - (np.cumsum(held) - held)[row]
        weight = (likeness - ALIKE + 0.01) / (1 - ALIKE) / np.sqrt(counts[row])
        row, member, weight = (part[rank < LIKEST] for part in (row, member, weight))
        return _Votes(low + row % len(plain), member, row >= len(plain), weight.astype(np.float32))

    def _probed(self, wanted: Floats) -> tuple[Ints, Ints]:
        """Rows of the descriptors to compare with each cell, cell by cell, and where each cell starts."""
        probes = min(PROBES, len(self.means))
        parts = []
        for start in range(0, len(wanted), PROBED):
            closeness = wanted[start : start + PROBED] @ self.means.T
            for _ in range(probes):
                cell = closeness.argmax(1)
                parts.append((cell, np.arange(start, start + len(cell))))
                closeness[np.arange(len(cell)), cell] = -2
        cells, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(cells, kind="stable")
        return rows[order], np.searchsorted(cells[order], np.arange(len(self.means) + 1))

    def _turn_and_zoom(self, votes: _Votes) -> tuple[Floats, Floats]:
        """Turn of the second in the first, degrees in -180..180, and zoom, powers of 2."""
        there = self.angles[votes.answering]
        there = np.where(votes.mirrored, 180 - there, there)
        turn = (self.angles[votes.asking] - there + 180) % 360 - 180
        return turn, np.log2(self.sizes[votes.asking] / self.sizes[votes.answering])

    def _pairs(self, votes: _Votes) -> Ints:
        asking, answering = self.picture[votes.asking], self.picture[votes.answering]
        return asking * len(self.centres) + answering

    def _shifts(self, votes: _Votes) -> set[tuple[int, int]]:
        """Pairs whose features lie alike without a turn."""
        turn, zoom = self._turn_and_zoom(votes)
        rows = ~votes.mirrored & (np.abs(turn) < SHIFT_TURN) & (np.abs(zoom) < SHIFT_ZOOM)
        asking, answering = votes.asking[rows], votes.answering[rows]
        place = (self.points[asking] - self.points[answering]) / (PLACE * self.per_view)
        pairs = self._pairs(votes)[rows]
        scores: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for offset in (0.0, 0.5):
            keys = _joined(pairs, place + offset)
            found, where = np.unique(keys, return_inverse=True)
            scores.append((found >> _BITS * 2, np.bincount(where, votes.weight[rows])))
        pair, score = (np.concatenate(part) for part in zip(*scores, strict=True))
        kept = _best_of_each(pair, score, len(self.centres), SHIFTS, STRONG_SHIFT)
        count = len(self.centres)
        return {(min(i, j), max(i, j)) for i, j in (divmod(int(p), count) for p in kept)}

    def _views(self, votes: _Votes) -> Iterator[View]:
        """Turned, mirrored and rescaled views that enough features agree on."""
        turn, zoom = self._turn_and_zoom(votes)
        like_shift = ~votes.mirrored & (np.abs(turn) < LEAST_TURN) & (np.abs(zoom) < LEAST_ZOOM)
        rows = np.flatnonzero(~like_shift & (np.abs(zoom) < MOST_ZOOM))
        if not len(rows):
            return
        votes = votes.some(rows)
        turn, zoom = turn[rows], zoom[rows]
        place = self._centre_in_first(votes, turn, zoom) / (TURNED_PLACE * self.per_view)
        pairs = self._pairs(votes) * 2 + votes.mirrored
        best: dict[int, tuple[int, Ints]] = {}
        for offset in (0.0, 0.5):
            steps = np.column_stack([turn / TURN, zoom / ZOOM, place]) + offset
            steps[:, 0] %= 360 / TURN
            for key, members in _bins(_joined(pairs, steps), LEAST_AGREEING):
                agreeing = len(np.unique(votes.asking[members]))
                pair = key >> _BITS * 4 + 1
                if agreeing >= LEAST_AGREEING and agreeing > best.get(pair, (0, None))[0]:
                    best[pair] = (agreeing, members)
        of_picture: dict[int, int] = {}
        for pair, (_, members) in sorted(best.items(), key=lambda item: (-item[1][0], item[0])):
            i, j = divmod(pair, len(self.centres))
            of_picture[i] = of_picture.get(i, 0) + 1
            if of_picture[i] > TURNED:
                continue
            view = self._fitted(i, j, votes, members)
            if view is not None and view.votes >= LEAST_AGREEING:
                yield view

    def _centre_in_first(self, votes: _Votes, turn: Floats, zoom: Floats) -> Floats:
        """Where the centre of the answering picture would lie in the asking one [K, 2]."""
        away = self.centres[self.picture[votes.answering]] - self.points[votes.answering]
        x = np.where(votes.mirrored, -away[:, 0], away[:, 0])
        cos, sin = np.cos(np.radians(turn)) * 2**zoom, np.sin(np.radians(turn)) * 2**zoom
        turned = np.column_stack([cos * x - sin * away[:, 1], sin * x + cos * away[:, 1]])
        return np.asarray(self.points[votes.asking] + turned, np.float32)

    def _fitted(self, i: int, j: int, votes: _Votes, members: Ints) -> View | None:
        """The similarity that most of these features agree on."""
        mirrored = bool(votes.mirrored[members[0]])
        there = self.points[votes.answering[members]] * np.array(
            [-1 if mirrored else 1, 1], np.float32
        )
        here = self.points[votes.asking[members]]
        pair, source, target = ((i, j), there, here)
        if i > j:  # the map of the first onto the second, turned round
            flip = np.array([-1 if mirrored else 1, 1], np.float32)
            pair, source, target = (j, i), here * flip, there * flip
        fitted, inside = cv2.estimateAffinePartial2D(
            source, target, ransacReprojThreshold=3 * self.per_view
        )
        if fitted is None:
            return None
        places = np.unique(np.round(source[inside.ravel() > 0] / self.per_view), axis=0)
        return View(*pair, mirrored, np.asarray(fitted, np.float64), len(places))


_BITS = 7


def _joined(pairs: Ints, steps: NDArray[np.floating]) -> Ints:
    """One number of a pair and the bins [K, n] of its vote."""
    keys = pairs.astype(np.int64)
    for column in np.clip(np.floor(steps) + 64, 0, 127).astype(np.int64).T:
        keys = keys << _BITS | column
    return keys


def _bins(keys: Ints, least: int) -> Iterator[tuple[int, Ints]]:
    """Yield each key of at least so many rows, and the rows."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1))
    for start, stop in pairwise(edges.tolist()):
        if stop - start >= least:
            yield int(keys[order[start]]), order[start:stop]


def _best_of_each(
    pair: Ints, score: NDArray[np.float64], count: int, most: int, strong: float
) -> Ints:
    """The pairs (asking * count + answering) of highest score of each asking picture."""
    order = np.lexsort((-score, pair))
    pair, score = pair[order], score[order]
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    pair, score = pair[first], score[first]
    asking = pair // count
    order = np.lexsort((pair, -score, asking))
    asking = asking[order]
    rank = np.arange(len(order)) - np.searchsorted(asking, asking)
    return pair[order[(rank < most) | (score[order] > strong)]]
