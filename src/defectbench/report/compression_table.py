"""What the table of compression shows: columns, Markdown, caption, and a CSV of every figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..base.compressions import FADED, base_method
from ..base.files import atomic_write_text
from .columns import INVALID, NOTHING, number, percent
from .compression import BASE, CHANNELS, CONTROL, PRUNED, STAGE_TITLES, Stage
from .markdown import write_csv

SCORE_TITLES = {"map50": "mAP50", "accuracy": "accuracy"}


@dataclass(frozen=True)
class StageColumn:
    """A column of the table.

    Attributes:
        heading: Its name.
        unit: Unit of its figures; may be empty.
        write: Writes figure and interval of a stage.
        record: The record behind it, below the stage's folder; empty without one.
    """

    heading: str
    unit: str
    write: Callable[[Stage], tuple[str, str]]
    record: Callable[[Stage], str]


def _ends(write: Callable[[float | None], str], low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{write(low)}, {write(high)}]"


def _points(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:+.1f}"


def _score(s: Stage) -> tuple[str, str]:
    return percent(s.score), _ends(percent, s.score_low, s.score_high)


def _difference(s: Stage) -> tuple[str, str]:
    return _points(s.difference), _ends(_points, s.difference_low, s.difference_high)


def _latency(s: Stage) -> tuple[str, str]:
    mark = INVALID if s.latency_valid is False else ""
    return number(s.latency_ms_p50) + (f" {mark}" if mark else ""), ""


def _ratio(s: Stage) -> tuple[str, str]:
    return number(s.ratio_to_base), _ends(number, s.ratio_to_base_low, s.ratio_to_base_high)


def _trained(s: Stage) -> str:
    return "prune.json" if s.stage in (CHANNELS, PRUNED) else "train.json"


def _timed(s: Stage) -> str:
    if s.latency_ms_p50 is None:
        return ""
    return "latency/onnxruntime.json" if s.stage in (BASE, CONTROL) else "beside_base.json"


COLUMNS = (
    StageColumn("score", "%", _score, lambda _: "accuracy.json"),
    StageColumn("to base", "points", _difference, lambda _: "accuracy.json"),
    StageColumn("stored", "MiB", lambda s: (number(s.stored_mib), ""), _trained),
    StageColumn("factor", "", lambda s: (number(s.factor), ""), _trained),
    StageColumn("params", "M", lambda s: (number(s.params_m), ""), lambda _: "complexity.json"),
    StageColumn("MACs", "G", lambda s: (number(s.macs_g), ""), lambda _: "complexity.json"),
    StageColumn("p50", "ms", _latency, _timed),
    StageColumn("time of base", "", _ratio, _timed),
    StageColumn("epochs", "", lambda s: (str(s.epochs or NOTHING), ""), _trained),
    StageColumn("training", "s", lambda s: (number(s.train_s), ""), _trained),
)


def ways(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Stages of one compressed cell after the other: each way begins at its base."""
    found: list[list[Stage]] = []
    for stage in stages:
        if stage.stage == BASE:
            found.append([])
        found[-1].append(stage)
    return found


def name_of(stage: Stage) -> str:
    """A stage in words; a control is named as the method that it is."""
    words = STAGE_TITLES[stage.stage]
    return f"{stage.title} ({words})" if stage.stage == CONTROL else words


def compression_caption(stages: Sequence[Stage]) -> list[str]:
    """Sentences that say what the figures are."""
    scores = dict.fromkeys(SCORE_TITLES[stage.score_name] for stage in stages)
    lines = [
        f"Score: {' or '.join(scores)} of the test part with its 95 % interval over groups; "
        "the difference to the base by paired bootstrap over groups.",
        "Stored: parameters, means and variances in float32 before folding, as the papers count; "
        "factor: that of the base over the own. Parameters and MACs are those of the deployed file.",
        "p50 and its ratio: base and compressed file in turn, in the same processes. After sparse training the network "
        "is the base's, after the cut the compressed file's; one that keeps its units is not timed. A control is timed "
        "in a run of its own.",
        "Epochs and training: all that is behind a network, its base's included. A compressed network has learnt for "
        "longer than its base, so a difference near zero does not say that a base with as many epochs loses nothing.",
        *_parted(stages),
    ]
    reasons = dict.fromkeys(s.latency_invalid_because for s in stages if s.latency_valid is False)
    alone = _without_control(stages)
    if alone:
        lines.append(f"No network of such a size from scratch stands beside {'; '.join(alone)}.")
    return [*lines, *(f"{INVALID} invalid timing, not to be cited: {why}." for why in reasons)]


def _parted(stages: Sequence[Stage]) -> list[str]:
    """What each cut by scales met: whether sparse training had made channels fade."""
    return [
        f"{s.title}, seed {s.seed}: {percent(s.faded_scales_share)} % of the scales were under {FADED} before the cut; "
        f"it took channels of scores up to {number(s.largest_score_cut)} and left others from "
        f"{number(s.smallest_score_kept)} on."
        for s in stages
        if s.faded_scales_share is not None
    ]


def _without_control(stages: Sequence[Stage]) -> list[str]:
    """Titles of compressed methods whose base has no control in the study."""
    beside, titles = set[tuple[str, str, str]](), dict[str, tuple[str, str, str]]()
    for way in ways(stages):
        base = (way[0].dataset, way[0].protocol, base_method(way[0].method))
        titles[way[0].title] = base
        if any(stage.stage == CONTROL for stage in way):
            beside.add(base)
    return [title for title, base in titles.items() if base not in beside]


def compression_markdown(stages: Sequence[Stage], out_dir: Path) -> str:
    """The ways of all compressed cells as Markdown."""
    parts = ["# Compression\n"]
    headings = [f"{c.heading}, {c.unit}" if c.unit else c.heading for c in COLUMNS]
    for way in ways(stages):
        last = [stage for stage in way if stage.stage != CONTROL][-1]
        parts.append(f"## {last.title}: {last.dataset}, {last.protocol}, seed {last.seed}\n")
        lines = ["| stage | " + " | ".join(headings) + " |", "|---" + "|---:" * len(COLUMNS) + "|"]
        for stage in way:
            link = f"[{name_of(stage)}]({os.path.relpath(stage.record, out_dir)})"
            cells = [" ".join(column.write(stage)).strip() for column in COLUMNS]
            lines.append(f"| {link} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines) + "\n")
    parts.append("\n".join(f"- {line}" for line in compression_caption(stages)) + "\n")
    return "\n".join(parts)


def by_place(stages: Sequence[Stage]) -> dict[tuple[str, str], list[Stage]]:
    """Stages by dataset and protocol."""
    place = [(s.dataset, s.protocol) for s in stages]
    pairs = zip(place, stages, strict=True)
    return {key: [s for _, s in group] for key, group in groupby(pairs, key=lambda pair: pair[0])}


def write_compression(stages: Sequence[Stage], out_dir: Path) -> None:
    """Write ``compression.csv`` and ``.md``; without any stage there is neither."""
    if stages:
        write_csv(out_dir / "compression.csv", stages, Stage)
        atomic_write_text(out_dir / "compression.md", compression_markdown(stages, out_dir))
        return
    for name in ("compression.csv", "compression.md"):
        (out_dir / name).unlink(missing_ok=True)
