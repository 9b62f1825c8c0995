"""Two studies side by side: one table, what was measured before and after, and what a difference was held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..measure.rerun_noise import TrainingNoise, pooled_noise
from .columns import NAMED, measured_column, word_column
from .numbers import NOTHING as EMPTY
from .numbers import number, percent, points
from .records.cell import CellRecords
from .records.cells import Entry
from .records.changes import EXACT, LEVEL, NOISE, NOTHING, Change, Pairing, changes_of, pairings
from .records.kept_rows import read_rows
from .records.study import StudyRecords, read_study
from .table import HEADLINE, Column, Row, RowBlock, Shown, Table, keys_of, row_of

BY_RECORDS = "both over the reference model, as recorded"
SPREAD = Path("results/reference/demo-spread/spread.csv")
COLUMNS = (
    NAMED,
    Column("score", "before", "%", percent, priority=3),
    Column("score_after", "after", "%", percent, priority=3),
    Column("difference", "difference", "points", points, priority=HEADLINE),
    Column("reach", "explained", "points", lambda value: f"±{100 * value:.1f}", priority=4),
    word_column("held_against", "held against", 5),
    measured_column("params_m", "parameters before", "10⁶", 11),
    measured_column("params_m_after", "after", "10⁶", 11),
    measured_column("macs_g", "multiply-adds before", "10⁹", 10),
    measured_column("macs_g_after", "after", "10⁹", 9),
    Column("time_ratio", "time", "after/before", number, priority=2),
    word_column("verdict", "what is told", 6),
    word_column("untold", "not compared", 12),
)


def read_side(folder: str | Path, models_dir: str | Path = "models") -> StudyRecords:
    """The records of a study, or of a folder of kept ones, as far as they are there.

    Args:
        folder: ``results/<study>``, its ``runs``, or a folder of kept records.
        models_dir: Where method cards lie, for titles.

    Raises:
        ReportError: There is no cell, or records do not belong together.
    """
    return read_study([runs_of(folder)], models_dir, is_kept=True)


def runs_of(folder: str | Path) -> Path:
    """The folder of a study's cells: ``runs`` in it, where there is one."""
    runs = Path(folder) / "runs"
    return runs if runs.is_dir() else Path(folder)


def compare_studies(
    before: StudyRecords,
    after: StudyRecords,
    spread: str | Path | None = SPREAD,
    level: float = LEVEL,
) -> list[Change]:
    """What became of each method from one study to another, by their records alone.

    Args:
        before: The earlier study.
        after: The new one.
        spread: Table of trainings that differ by seed alone, as ``benchmarks/seed_spread.py`` writes it; None for none.
        level: As in ``changes_of``.
    """
    pairs = pairings(before.entries, after.entries)
    changes = changes_of(pairs, noise_by_task(spread, before.entries), level)
    return [_timed(change, pair) for change, pair in zip(changes, pairs, strict=True)]


def noise_by_task(spread: str | Path | None, entries: Sequence[Entry]) -> dict[str, TrainingNoise]:
    """Noise of training by task from a table of trainings, those at the input side and epochs of a study's methods.

    Args:
        spread: The table; None, or a file that is not there, tells nothing.
        entries: The methods of a study.
    """
    if spread is None or not Path(spread).is_file():
        return {}
    budgets = {_budget(entry) for entry in entries if entry.first.train is not None}
    scores: dict[str, dict[str, list[float]]] = {}
    for row in read_rows(spread):
        if not row["moved"] and (row["method"], row["size_px"], row["epochs"]) in budgets:
            of_task = scores.setdefault(row["task"], {})
            of_task.setdefault(row["method"], []).append(float(row["val_score"]))
    made = {task: pooled_noise(of, Path(spread).as_posix()) for task, of in scores.items()}
    return {task: noise for task, noise in made.items() if noise is not None}


def _budget(entry: Entry) -> tuple[str, int | None, int | None]:
    assert entry.first.train is not None
    figures = entry.first.train["figures"]
    return entry.first.method, figures.get("size_px"), figures.get("epochs")


def _timed(change: Change, pair: Pairing) -> Change:
    """With the ratio of two recorded ratios, where both are to the same reference model."""
    if not pair.seeds or pair.first.is_control:
        return change
    (old, new), *_ = pair.seeds
    before, after = _recorded_ratio(old), _recorded_ratio(new)
    if before is None or after is None or _reference(old) != _reference(new):
        why = "speed: there are no two valid ratios to one reference model"
        return replace(change, untold=(*change.untold, why))
    (low, ratio, high), (low_after, ratio_after, high_after) = before, after
    return replace(
        change,
        time_ratio=ratio_after / ratio,
        time_ratio_low=low_after / high,
        time_ratio_high=high_after / low,
        time_by=BY_RECORDS,
    )


def _recorded_ratio(cell: CellRecords) -> tuple[float, float, float] | None:
    figures = (cell.latency or {}).get("figures", {})
    if not figures.get("valid") or figures.get("ratio_to_reference") is None:
        return None
    low, ratio, high = (figures[f"ratio_to_reference{end}"] for end in ("_low", "", "_high"))
    return low, ratio, high


def _reference(cell: CellRecords) -> str | None:
    return (cell.latency or {}).get("settings", {}).get("reference_sha256")


def changes_table(
    changes: Sequence[Change],
    names: tuple[str, str],
    notes: Sequence[str] = (),
    level: float = LEVEL,
) -> Table:
    """Changes as a table.

    Args:
        changes: Its rows.
        names: What the two studies are called.
        notes: Sentences below it, before those on how it was made.
        level: Chance of a false alarm that the changes were told with.
    """
    fields = [name for name in keys_of(Change) if name not in ("changed", "untold")]
    return Table(
        name="changes",
        title=f"{names[0]} and {names[1]}",
        columns=COLUMNS,
        rows=[_row(change) for change in changes],
        notes=[*notes, *_notes(changes, level)],
        fields=[*fields, "verdict", "untold"],
        lead=f"Before: `{names[0]}`. After: `{names[1]}`.",
        formats=("csv", "md", "terminal"),
    )


def _row(change: Change) -> Row:
    block = RowBlock(title=f"{change.dataset}, {change.protocol}")
    row = row_of(change, block=block, is_control=change.method.startswith("control_"))
    values = {**row.values, "verdict": change.verdict, "untold": "; ".join(change.untold)}
    shown = {} if change.untold else {"untold": Shown(EMPTY)}
    return replace(row, values=values, shown=shown)


def _notes(changes: Sequence[Change], level: float) -> list[str]:
    """What was compared in which way, and how sure it is."""
    both = [c for c in changes if c.score is not None and c.score_after is not None]
    by = Counter(change.held_against for change in both)
    counted = ", ".join(f"{name} ({count})" for name, count in by.items()) or NOTHING
    figures = ", ".join(sorted({change.figure for change in changes}))
    lines = [f"Scores ({figures}) are held against: {counted}."]
    if by[EXACT]:
        lines.append(
            "Equal weights: trained on the same make of processor with the same libraries, which repeats a training "
            "to the bit."
        )
    if by[NOISE]:
        lines.append(
            f"Noise of training: the chance that any of {by[NOISE]} scores is told to have moved without a change is "
            f"at most {level:.0%}, by Student's distribution with Bonferroni's correction."
        )
    lines += [f"Noise: {told}." for told in dict.fromkeys(c.noise for c in changes) if told]
    reasons = Counter(line for change in both for line in change.untold)
    lines += [
        f"Not compared, {count} of {len(both)}: {reason}." for reason, count in reasons.items()
    ]
    ways = sorted({change.time_by for change in changes if change.time_by})
    return [*lines, f"Time: {'; '.join(ways)}." if ways else "No speed was compared."]
