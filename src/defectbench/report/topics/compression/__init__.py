"""Compression: the way of every compressed cell from its base on, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from ....base.compressions import FADED, base_method
from ...numbers import INVALID, NOTHING, number, percent, points
from ...records.study import StudyRecords
from ...table import (
    HEADLINE,
    NAME,
    Column,
    Picture,
    Row,
    RowBlock,
    Shown,
    Table,
    keys_of,
    row_of,
    word_column,
)
from .stages import (
    CHANNELS,
    CONTROL,
    PRUNED,
    SCORE_TITLES,
    STAGE_TITLES,
    StageRow,
    by_place,
    compression_stages,
    ways,
)

ORDER = 32
COLUMNS = (
    word_column("stage", "stage", NAME),
    Column("score", "score", "%", percent, priority=HEADLINE),
    Column("difference", "to base", "points", points, priority=3),
    Column("stored_mib", "stored", "MiB", number, priority=2),
    Column("factor", "factor", "", number, priority=5),
    Column("params_m", "params", "M", number, priority=6),
    Column("macs_g", "MACs", "G", number, priority=7),
    Column("latency_ms_p50", "p50", "ms", number, priority=8),
    Column("ratio_to_base", "time of base", "", number, priority=4),
    Column("epochs", "epochs", "", str, priority=9),
    Column("train_s", "training", "s", number, priority=10),
)
TIMED = ("latency_ms_p50", "ratio_to_base")


def stages_of(study: StudyRecords) -> list[StageRow]:
    """The stages of all compressed cells of a study, made once."""
    return study.share(_stages)


def _stages(study: StudyRecords) -> list[StageRow]:
    return compression_stages(study.entries, study.lacks)


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """The ways as a table and as figures; nothing where no cell is compressed."""
    stages = stages_of(study)
    if not stages:
        return
    yield compression_table(stages)
    from ...figures.compression import compression_figure

    for place, here in by_place(stages).items():
        yield Picture(
            f"compression_{'_'.join(place)}",
            partial(compression_figure, here),
            "score against stored size, stage by stage",
            "Score against size. Each line goes from a base to its compressed form; grey crosses are controls of "
            "such a size from scratch.",
            "compression",
        )


def compression_table(stages: Sequence[StageRow]) -> Table:
    """Stages as a table; each way from a base stands by itself."""
    return Table(
        name="compression",
        title="Compression",
        columns=COLUMNS,
        rows=[_row(stage, _block(way)) for way in ways(stages) for stage in way],
        notes=compression_notes(stages),
        fields=keys_of(StageRow),
        formats=("csv", "md", "page"),
    )


def _block(way: Sequence[StageRow]) -> RowBlock:
    last = [stage for stage in way if stage.stage != CONTROL][-1]
    return RowBlock(f"{last.title}: {last.dataset}, {last.protocol}, seed {last.seed}")


def _row(stage: StageRow, block: RowBlock) -> Row:
    """A stage; each of its figures leads to the record behind it."""
    row = row_of(stage, block=block)
    behind = {
        **dict.fromkeys(("score", "difference"), "accuracy.json"),
        **dict.fromkeys(("stored_mib", "factor", "epochs", "train_s"), _trained(stage)),
        **dict.fromkeys(("params_m", "macs_g"), "complexity.json"),
        **dict.fromkeys(TIMED, stage.timed_by),
    }
    shown = {"stage": Shown(name_of(stage), href=stage.record)}
    for column in COLUMNS[1:]:
        cell = column.show(row)
        if cell.text != NOTHING:
            is_invalid = column.key == "latency_ms_p50" and stage.latency_valid is False
            mark = f" {INVALID}" if is_invalid else ""
            record = behind[column.key]
            href = f"{stage.record}/{record}" if record else ""
            shown[column.key] = replace(cell, mark=mark, href=href)
    return replace(row, shown=shown)


def _trained(stage: StageRow) -> str:
    return "prune.json" if stage.stage in (CHANNELS, PRUNED) else "train.json"


def name_of(stage: StageRow) -> str:
    """A stage in words; a control is named as the method that it is."""
    words = STAGE_TITLES[stage.stage]
    return f"{stage.title} ({words})" if stage.stage == CONTROL else words


def compression_notes(stages: Sequence[StageRow]) -> list[str]:
    """Sentences that say what the figures are."""
    scores = dict.fromkeys(SCORE_TITLES[stage.score_name] for stage in stages)
    lines = [
        f"Score: {' or '.join(scores)} of the test part with its 95 % interval over groups; "
        "the difference to the base on the same images, over groups, too: given these trained networks.",
        "Stored: parameters, means and variances in float32 before folding, as the papers count; "
        "factor: that of the base over the own. Parameters and MACs are those of the deployed file.",
        "p50 and its ratio: base and compressed file side by side, block by block in the same processes. After sparse "
        "training the network is the base's, after the cut the compressed file's; one that keeps its units is not "
        "timed. A control has its p50 alone.",
        "Epochs and training: all that is behind a network, its base's included. A compressed network has learnt for "
        "longer than its base, so a difference near zero does not say that a base with as many epochs loses nothing.",
        *_parted(stages),
    ]
    reasons = dict.fromkeys(s.latency_invalid_because for s in stages if s.latency_valid is False)
    alone = _without_control(stages)
    if alone:
        lines.append(f"No network of such a size from scratch stands beside {'; '.join(alone)}.")
    return [*lines, *(f"{INVALID} invalid timing, not to be cited: {why}." for why in reasons)]


def _parted(stages: Sequence[StageRow]) -> list[str]:
    """What each cut by scales met: whether sparse training had made channels fade."""
    return [
        f"{s.title}, seed {s.seed}: {percent(s.faded_scales_share)} % of the scales were under {FADED} before the cut; "
        f"it took channels of scores up to {number(s.largest_score_cut)} and left others from "
        f"{number(s.smallest_score_kept)} on."
        for s in stages
        if s.faded_scales_share is not None
    ]


def _without_control(stages: Sequence[StageRow]) -> list[str]:
    """Titles of compressed methods whose base has no control in the study."""
    beside, titles = set[tuple[str, str, str]](), dict[str, tuple[str, str, str]]()
    for way in ways(stages):
        base = (way[0].dataset, way[0].protocol, base_method(way[0].method))
        titles[way[0].title] = base
        if any(stage.stage == CONTROL for stage in way):
            beside.add(base)
    return [title for title, base in titles.items() if base not in beside]
