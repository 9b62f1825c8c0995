"""What became of each method from one study to another, and what a difference can be held against.

A training is repeated to the bit on the same make of processor with the same libraries, so there any other weights are
a change. Elsewhere rounding makes another network of the same seed, and a score is held against the measured noise of
training. Settings, data, counts, and the score of equal predictions are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.same_machine import machine_differences
from ...base.tasks import task_named
from ...measure.rerun_noise import TrainingNoise, pooled_noise
from .cell import CellRecords
from .cells import Entry, Key, key_of

EXACT = "equal weights"
PREDICTED = "equal predictions"
NOISE = "noise of training"
ROUNDING = "rounding"
NOTHING = "nothing"
LEVEL = 0.01  # chance that a whole comparison without a change tells one by its scores
# A control trains nothing, so that rounding alone moves it: a detection may change its rank.
CONTROL_REACH = 0.001
_SAME_SCORE = 1e-9
# Counts by title, the exact one first; records that were written by hand may have the rounded one alone.
_COUNTS = {
    "input side": ("size_px",),
    "parameters": ("params", "params_m"),
    "multiply-adds": ("macs", "macs_g"),
}
_MOST_FIELDS = 3
LEAST_FREEDOM = (
    5  # of the earlier study's own seeds, to be taken before noise that was measured elsewhere
)


@dataclass(frozen=True)
class Change:
    """A method before and after.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts were made.
        method: Name of the method.
        title: Its name in tables.
        figure: What is scored.
        n_seeds: Seeds before.
        n_seeds_after: Seeds after.
        score: Mean over the seeds before, 0..1; None where it is new.
        score_after: The same after; None where it is gone.
        difference: After minus before.
        held_against: What the difference was held against.
        reach: Difference that is still explained by it; None where that is nothing.
        noise: Where the noise of training was measured, and how wide it is; empty where it was not asked for.
        params_m: Parameters before, millions.
        params_m_after: The same after.
        macs_g: Multiply-adds of one image before, 10^9.
        macs_g_after: The same after.
        time_ratio: Time after over time before.
        time_ratio_low: Lower end of its 95 % interval.
        time_ratio_high: Upper end.
        time_by: How the ratio was found.
        changed: What has changed for certain, or beyond chance; empty where nothing has.
        untold: What could not be compared, and why.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    figure: str
    n_seeds: int
    n_seeds_after: int
    score: float | None
    score_after: float | None
    difference: float | None
    held_against: str
    reach: float | None
    params_m: float | None
    params_m_after: float | None
    macs_g: float | None
    macs_g_after: float | None
    time_ratio: float | None = None
    time_ratio_low: float | None = None
    time_ratio_high: float | None = None
    time_by: str = ""
    noise: str = ""
    changed: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether the earlier study lacks it."""
        return self.score is None

    @property
    def verdict(self) -> str:
        """What is to be said of it."""
        if self.is_new:
            return "new"
        return "; ".join(self.changed) or "no change told"


@dataclass(frozen=True)
class Pairing:
    """A method as it was and as it is; one of the two may be missing.

    Attributes:
        before: Its cells in the earlier study.
        after: Its cells in the new one.
    """

    before: Entry | None
    after: Entry | None

    @property
    def first(self) -> CellRecords:
        """A cell of it."""
        entry = self.after or self.before
        assert entry is not None
        return entry.first

    @property
    def seeds(self) -> list[tuple[CellRecords, CellRecords]]:
        """Cells of the seeds that both have."""
        if self.before is None or self.after is None:
            return []
        old = {cell.seed: cell for cell in self.before.cells}
        return [(old[cell.seed], cell) for cell in self.after.cells if cell.seed in old]


def pairings(before: Sequence[Entry], after: Sequence[Entry]) -> list[Pairing]:
    """Methods of two studies by dataset, protocol and method, in the order of tables."""
    old, new = ({key_of(entry): entry for entry in entries} for entries in (before, after))
    keys: dict[Key, None] = dict.fromkeys([*old, *new])
    return [Pairing(old.get(key), new.get(key)) for key in keys]


def changes_of(
    pairs: Sequence[Pairing],
    spread: Mapping[str, TrainingNoise] | None = None,
    level: float = LEVEL,
) -> list[Change]:
    """What has changed.

    Args:
        pairs: Methods of two studies.
        spread: Noise of training by task, for tasks of which the earlier study has too few seeds to tell it well.
        level: Chance that a comparison without any change tells one by its scores, over all methods together.
    """
    entries = [pair.before for pair in pairs if pair.before is not None]
    own = _noise_by_task(entries)
    enough = {task: noise for task, noise in own.items() if noise.freedom >= LEAST_FREEDOM}
    noise = {**own, **(spread or {}), **enough}
    by_noise = sum(_basis(pair) == NOISE for pair in pairs)
    return [_change(pair, noise.get(_task(pair)), level / max(1, by_noise)) for pair in pairs]


def figure_of(task: str) -> str:
    """The score that is compared: the one that trainings are validated by."""
    return task_named(task).validation_key.removeprefix("val_")


def _task(pair: Pairing) -> str:
    entry = pair.after or pair.before
    assert entry is not None
    return entry.task


def _noise_by_task(entries: Iterable[Entry]) -> dict[str, TrainingNoise]:
    """The noise that several seeds of the earlier study show, by task."""
    scores: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        if not entry.first.is_control:
            name = "/".join(key_of(entry))
            scores.setdefault(entry.task, {})[name] = _scores(entry)
    made = {task: pooled_noise(of, "the seeds of the earlier study") for task, of in scores.items()}
    return {task: noise for task, noise in made.items() if noise is not None}


def _scores(entry: Entry) -> list[float]:
    figure = figure_of(entry.task)
    return [cell.accuracy["figures"][figure] for cell in entry.cells]


def _basis(pair: Pairing) -> str:
    """What the score of a method can be held against."""
    if pair.before is None or pair.after is None:
        return NOTHING
    if _other_truth(pair):
        return NOTHING
    whole = len(pair.seeds) == len(pair.before.cells) == len(pair.after.cells)
    if whole and all(_predictions(old) == _predictions(new) for old, new in pair.seeds):
        return PREDICTED
    if whole and all(not _apart(old, new) for old, new in pair.seeds):
        return EXACT
    return ROUNDING if pair.first.is_control else NOISE


def _apart(old: CellRecords, new: CellRecords) -> list[str]:
    """Why two cells of a seed need not be equal to the bit; empty where they must be."""
    if old.is_control:
        return machine_differences(old.accuracy, new.accuracy)
    if old.train is None or new.train is None:
        return ["a record of training is missing"]
    if not (_weights(old) and _weights(new)):
        return ["trained by a program that keeps no hash of its weights"]
    if any(
        train.get("device") not in (None, train["hardware"]["cpu"])
        for train in (old.train, new.train)
    ):
        return ["trained on a GPU, which adds up in any order"]
    apart = machine_differences(old.train, new.train)
    return [*apart, *machine_differences(_bare(old), _bare(new))]


def _bare(cell: CellRecords) -> dict[str, Any]:
    """Where predictions were scored, as far as it can change them."""
    return {name: cell.accuracy.get(name, {}) for name in ("hardware", "software")}


def _weights(cell: CellRecords) -> str | None:
    return None if cell.train is None else cell.train.get("weights_sha256")


def _predictions(cell: CellRecords) -> str:
    return cell.accuracy["inputs"]["predictions"]["sha256"]


def _other_truth(pair: Pairing) -> list[str]:
    """Files of the truth that differ."""
    assert pair.before is not None
    assert pair.after is not None
    old, new = pair.before.first.accuracy["inputs"], pair.after.first.accuracy["inputs"]
    return [
        name for name in ("annotations", "images") if old[name]["sha256"] != new[name]["sha256"]
    ]


def _change(pair: Pairing, noise: TrainingNoise | None, level: float) -> Change:
    basis = _basis(pair)
    score, score_after = (
        sum(_scores(entry)) / len(entry.cells) if entry else None
        for entry in (pair.before, pair.after)
    )
    difference = None if score is None or score_after is None else score_after - score
    reach, held = _reach(pair, basis, noise, level)
    changed = list(_changed(pair, basis))
    if difference is not None and reach is not None and abs(difference) > reach:
        changed.append(_moved(difference, reach, held))
    cell = pair.first
    entry = pair.after or pair.before
    assert entry is not None
    return Change(
        dataset=cell.dataset,
        protocol=cell.protocol,
        method=cell.method,
        title=entry.title,
        figure=figure_of(entry.task),
        n_seeds=len(pair.before.cells) if pair.before else 0,
        n_seeds_after=len(pair.after.cells) if pair.after else 0,
        score=score,
        score_after=score_after,
        difference=difference,
        held_against=held,
        reach=reach,
        params_m=_count(pair.before, "params_m"),
        params_m_after=_count(pair.after, "params_m"),
        macs_g=_count(pair.before, "macs_g"),
        macs_g_after=_count(pair.after, "macs_g"),
        noise=noise.told if noise is not None and held == NOISE else "",
        changed=tuple(changed),
        untold=tuple(_untold(pair, basis, noise)),
    )


def _moved(difference: float, reach: float, held: str) -> str:
    """A difference of scores in words."""
    moved = f"{100 * abs(difference):.1f} points {'below' if difference < 0 else 'above'}"
    if held == PREDICTED:
        return f"scores {moved}, though the predictions are the same"
    return f"scores {moved}, and {held} explains {100 * reach:.1f}"


def _count(entry: Entry | None, name: str) -> float | None:
    if entry is None or entry.first.complexity is None:
        return None
    return entry.first.complexity["figures"].get(name)


def _reach(
    pair: Pairing, basis: str, noise: TrainingNoise | None, level: float
) -> tuple[float | None, str]:
    """How far a score may move by chance, and what it is held against."""
    if basis in (EXACT, PREDICTED, NOTHING):
        return (_SAME_SCORE if basis == PREDICTED else None), basis
    if basis == ROUNDING:
        return CONTROL_REACH, basis
    if noise is None:
        return None, NOTHING
    assert pair.before is not None
    assert pair.after is not None
    old = _scores(pair.before)
    counts = len(old), len(pair.after.cells)
    mean = sum(old) / len(old)
    keys = "/".join(key_of(pair.before)), pair.first.method
    name = next((key for key in keys if key in noise.by_method), keys[0])
    return noise.reach(name, mean, *counts, level), basis


def _changed(pair: Pairing, basis: str) -> Iterator[str]:
    """What differs for certain."""
    if pair.after is None:
        yield "gone"
    if pair.before is None or pair.after is None:
        return
    if other := _other_truth(pair):
        yield f"another truth ({', '.join(other)})"
    for old, new in pair.seeds:
        yield from _of_seed(old, new, basis)


def _of_seed(old: CellRecords, new: CellRecords, basis: str) -> Iterator[str]:
    seed = f"of seed {new.seed}"
    settings = _settings_changed(old, new)
    if settings:
        yield f"settings {seed} differ ({', '.join(settings)})"
    if not _apart(old, new):
        if _weights(old) != _weights(new):
            yield f"weights {seed} differ"
        elif _predictions(old) != _predictions(new) and basis != NOTHING:
            same = "nothing was trained" if old.is_control else "its weights are the same"
            yield f"predictions {seed} differ, though {same}"
    yield from _counts_changed(old, new)


def _counts_changed(old: CellRecords, new: CellRecords) -> Iterator[str]:
    if old.complexity is None or new.complexity is None:
        return
    before, after = old.complexity["figures"], new.complexity["figures"]
    for title, names in _COUNTS.items():
        name = next((name for name in names if name in before and name in after), None)
        if name is not None and before[name] != after[name]:
            step = after[name] - before[name]
            yield f"{title} {before[name]:,}, now {after[name]:,} ({step:+,})"


def _settings_changed(old: CellRecords, new: CellRecords) -> list[str]:
    """Fields of the training that both name and that differ, and its data."""
    if not (_weights(old) and _weights(new)) or old.train is None or new.train is None:
        return []
    recipes = [dict(_flat(cell.get("recipe") or {})) for cell in (old.train, new.train)]
    for recipe, cell in zip(recipes, (old.train, new.train), strict=True):
        recipe |= {n: cell["figures"].get(n) for n in ("epochs", "batch", "size_px")}
        recipe["training images"] = cell["inputs"].get("pack", {}).get("sha256", "")[:8]
    before, after = recipes
    fields = [name for name in before if name in after and before[name] != after[name]]
    told = [f"{name} {before[name]}, now {after[name]}" for name in fields[:_MOST_FIELDS]]
    more = len(fields) - len(told)
    return [*told, f"and {more} more"] if more else told


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _untold(pair: Pairing, basis: str, noise: TrainingNoise | None) -> Iterator[str]:
    """What no comparison was made of."""
    if pair.before is None or pair.after is None:
        return
    if basis == NOISE:
        reasons = [reason for old, new in pair.seeds for reason in _apart(old, new)]
        why = "; ".join(dict.fromkeys(reasons)) or "the seeds are others"
        yield f"weights: {why}"
        if noise is None:
            yield "score: the noise of training was not measured"
    if basis == NOTHING:
        yield "score: it is of another test part"
    if pair.first.is_control:
        return
    if any(cell.complexity is None for cells in pair.seeds for cell in cells) or not pair.seeds:
        yield "counts: there is no record of them"
