"""The way of every compressed cell, stage by stage: size, score, and speed beside its base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ....base.compressions import FADED, WAYS, base_method
from ....base.errors import ReportError
from ....measure.seeds import difference_of
from ...records.cell import CellRecords
from ...records.cells import Entry, epochs_of, key_of, read_figures
from ...records.comparison import RUNS_OF, ByFigure
from ...records.costs import beside_base

BASE, CONTROL = "base", "control"
CHANNELS, PRUNED, RECOVERED = "channels", "pruned", "recovered"
BEFORE_CUT = {name: title for way in WAYS.values() for name, title in way.before_cut.items()}
SCORE_TITLES = {"map50": "mAP50", "accuracy": "accuracy"}
STAGE_TITLES = {
    BASE: "base",
    **BEFORE_CUT,
    CHANNELS: "channels cut, units left",
    PRUNED: "cut, before recovery",
    RECOVERED: "after recovery",
    CONTROL: "control, from scratch",
}


@dataclass(frozen=True)
class StageRow:
    """A network on the way from a base to its compressed form, or a control beside it.

    Scores and their ends are shares; ``difference`` is the score minus the base's on the same test part, its
    interval over groups, given both networks. ``stored_mib`` is what the papers call size: parameters, means and
    variances in float32, before folding; ``factor`` is that of the base over the own. ``latency_ms_p50`` of base and
    compressed file comes from one record, ``timed_by``, that of a control from its own. ``train_s`` and ``epochs`` are
    all training behind the network. Of a cut by scales, ``faded_scales_share`` is the share of scales under 0.01 that
    it met, ``largest_score_cut`` and ``smallest_score_kept`` are what it parted.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    seed: int
    stage: str
    score_name: str
    score: float
    score_low: float
    score_high: float
    n_images: int
    n_groups: int | None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    params_m: float | None = None
    stored_mib: float | None = None
    factor: float | None = None
    macs_g: float | None = None
    latency_ms_p50: float | None = None
    ratio_to_base: float | None = None
    ratio_to_base_low: float | None = None
    ratio_to_base_high: float | None = None
    latency_valid: bool | None = None
    latency_invalid_because: str = ""
    engine: str = ""
    timed_by: str = ""
    train_s: float | None = None
    epochs: int | None = None
    faded_scales_share: float | None = None
    largest_score_cut: float | None = None
    smallest_score_kept: float | None = None
    record: str = ""


def compression_stages(entries: Sequence[Entry], lacks: list[str] | None = None) -> list[StageRow]:
    """The ways of all compressed cells, each from its base on, then the controls of that base.

    A network of the same widths that starts afresh is a control: beside its base it has no stages.

    Args:
        entries: What ``find_entries`` returns.
        lacks: Gets a sentence on each way of a kept cell that lacks records; without it, that is an error.

    Raises:
        ReportError: A compressed cell lacks its base, or a stage lacks a record or holds records of two models.
    """
    places = {(e.first.dataset, e.first.protocol, e.first.method): e for e in entries}
    stages: list[StageRow] = []
    for (dataset, protocol, method), entry in places.items():
        if not (entry.first.folder / "pruned" / "prune.json").is_file():
            continue
        base = places.get((dataset, protocol, base_method(method)))
        beside = [e for e in entries if _is_control(e, entry)]
        for cell in entry.cells:
            try:
                stages += _way(entry, cell, _cell_of(base, cell), beside)
            except ReportError as error:
                if lacks is None:
                    raise
                lacks.append(f"{entry.title}, seed {cell.seed}, has no way from its base: {error}.")
    return stages


def ways(stages: Sequence[StageRow]) -> list[list[StageRow]]:
    """Stages of one compressed cell after the other: each way begins at its base."""
    made: list[list[StageRow]] = []
    for stage in stages:
        if stage.stage == BASE:
            made.append([])
        made[-1].append(stage)
    return made


def by_place(stages: Sequence[StageRow]) -> dict[tuple[str, str], list[StageRow]]:
    """Stages by dataset and protocol."""
    places = [(s.dataset, s.protocol) for s in stages]
    pairs = zip(places, stages, strict=True)
    return {key: [s for _, s in group] for key, group in groupby(pairs, key=lambda pair: pair[0])}


def _is_control(other: Entry, entry: Entry) -> bool:
    """Whether a method's card calls it the control of what was compressed here."""
    is_beside = key_of(other)[:2] == key_of(entry)[:2]
    return is_beside and other.control_of == base_method(entry.first.method)


def _cell_of(base: Entry | None, cell: CellRecords) -> CellRecords:
    """The base's cell of the same seed.

    Raises:
        ReportError: There is none.
    """
    for candidate in base.cells if base is not None else ():
        if candidate.seed == cell.seed:
            return candidate
    name = base_method(cell.method)
    raise ReportError(cell.folder, "base", "nothing", f"add the cell of {name}, seed {cell.seed}")


def _way(
    entry: Entry, cell: CellRecords, base: CellRecords, beside: Sequence[Entry]
) -> list[StageRow]:
    return list(_steps_of_way(entry, cell, base, beside))


def _steps_of_way(
    entry: Entry, cell: CellRecords, base: CellRecords, beside: Sequence[Entry]
) -> Iterator[StageRow]:
    file, timing = _read_timing(cell, base)
    both = timing["figures"]
    assert base.train is not None
    path = cell.folder / "pruned" / "prune.json"
    cut = read_figures(path, "prune", f"snakemake --cores 8 {path}")
    steps = {} if cell.is_afresh else _steps(cell, base, cut)
    controls = [(other.title, control) for other in beside for control in other.cells]
    if cell.is_afresh:
        controls = [(entry.title, cell), *controls]
    start = _Compared(base, cut["figures"]["size_mib_before"])
    names = {"method": cell.method, "title": entry.title}
    timed = {"latency_ms_p50": both["base_latency_ms_p50"], "ratio_to_base": 1.0}
    yield start.stage(BASE, base, base.train, {**names, **timed, **_validity(both, base)})
    for name, step in steps.items():
        assert step.train is not None
        timed = _timed(both, cell) | {"timed_by": file} if step is cell else {}
        parted = _parted(cut) if name == PRUNED else {}
        yield start.stage(name, step, step.train, {**names, **timed, **parted})
    for title, control in controls:
        assert control.train is not None
        assert control.latency is not None
        figures = control.latency["figures"]
        timed = {"latency_ms_p50": figures["latency_ms_p50"], **_validity(figures, control)}
        more = {"method": control.method, "title": title, **timed}
        yield start.stage(CONTROL, control, control.train, more)


def _steps(cell: CellRecords, base: CellRecords, cut: dict[str, Any]) -> dict[str, CellRecords]:
    """What lies between the base and the end of a way, and its end, by stage."""
    pruned = cell.folder / "pruned"
    steps: dict[str, CellRecords] = {}
    for name in cell.compressed_by.before_cut if cell.compressed_by else ():
        # in the base's folder: several cuts may start from it
        start = base.folder / Path(cut["inputs"]["start"]["path"]).parent.name
        steps[name] = _read_stage(base, start, "train")
    if cut["settings"].get("drop_units"):
        steps[CHANNELS] = _read_stage(cell, pruned / "channels", "prune")
    return {**steps, PRUNED: _read_stage(cell, pruned, "prune"), RECOVERED: cell}


def _read_timing(cell: CellRecords, base: CellRecords) -> tuple[str, dict[str, Any]]:
    """The record of both files timed side by side, and where it lies; it must be of the files that were counted."""
    timing = beside_base(cell)
    if timing is None:
        fix = f"time both in one race: defectbench race {base.folder} {cell.folder}"
        raise ReportError(cell.folder / "latency", "ratio_to_base", "nothing", fix)
    file, record = timing
    for name, timed_cell in (("model", cell), ("base", base)):
        assert timed_cell.complexity is not None
        counted = timed_cell.complexity["inputs"]["model"]["sha256"]
        timed = record["inputs"][name]["sha256"]
        if counted != timed:
            fix = f"{timed_cell.folder}/model.onnx is {counted}; time both again"
            raise ReportError(cell.folder / file, f"inputs.{name}.sha256", timed, fix)
    return file, record


def _read_stage(cell: CellRecords, folder: Path, kind: str) -> CellRecords:
    """A stage before the last as a cell of its own, its records of one model."""
    records = {
        name: read_figures(
            folder / f"{file}.json", file, f"snakemake --cores 8 {folder}/{file}.json"
        )
        for name, file in (("accuracy", "accuracy"), ("complexity", "complexity"), ("train", kind))
    }
    scored = records["accuracy"].get("model_sha256")
    counted = records["complexity"]["inputs"]["model"]["sha256"]
    if scored != counted:
        fix = f"the counted file is {counted}; score and count the same model.onnx"
        raise ReportError(folder / "accuracy.json", "model_sha256", scored, fix)
    names = (cell.dataset, cell.protocol, cell.method, cell.seed)
    return CellRecords(folder, *names, records["accuracy"], records["train"], records["complexity"])


def _timed(figures: dict[str, Any], cell: CellRecords) -> dict[str, Any]:
    names = ("latency_ms_p50", "ratio_to_base", "ratio_to_base_low", "ratio_to_base_high")
    return {name: figures[name] for name in names} | _validity(figures, cell)


def _parted(cut: dict[str, Any]) -> dict[str, Any]:
    """What a cut by scales met and parted; nothing of another one."""
    if "scale_histogram" not in cut:
        return {}
    histogram = cut["scale_histogram"]
    counts = dict(zip(histogram["from"], histogram["count"], strict=True))
    faded = sum(count for edge, count in counts.items() if edge < FADED)
    names = ("largest_score_cut", "smallest_score_kept")
    ends = {name: cut["figures"].get(name) for name in names}
    return {"faded_scales_share": faded / sum(counts.values()), **ends}


def _validity(figures: dict[str, Any], cell: CellRecords) -> dict[str, Any]:
    reasons = "; ".join(figures["invalid_because"])
    return {
        "latency_valid": figures["valid"],
        "latency_invalid_because": reasons,
        "engine": cell.engine,
        "timed_by": f"latency/{cell.engine}.json",
    }


def _runs(cell: CellRecords) -> ByFigure | None:
    """Scores of one cell on resampled groups, by figure; paired between cells of one test part."""
    return RUNS_OF[cell.task]([cell])


def _score_of(cell: CellRecords) -> str:
    """The figure that says how good a network is."""
    return next(name for name in SCORE_TITLES if name in cell.accuracy["figures"])


class _Compared:
    """Makes stages and compares each with the base.

    Args:
        base: The cell of the base.
        whole: What is stored of it, MiB.
    """

    def __init__(self, base: CellRecords, whole: float) -> None:
        self.base, self.whole = base, whole
        self.runs = _runs(base)

    def stage(
        self, name: str, cell: CellRecords, made: dict[str, Any], more: dict[str, Any]
    ) -> StageRow:
        """One stage from its cell and the record of what made its weights."""
        scores, costs = cell.accuracy["figures"], made["figures"]
        score = _score_of(cell)
        stored = costs.get("stored_mib", costs.get("size_mib"))
        stored = self.whole if name in (BASE, *BEFORE_CUT) else stored
        counted = cell.complexity["figures"] if cell.complexity else {}
        return StageRow(
            dataset=cell.dataset,
            protocol=cell.protocol,
            seed=cell.seed,
            stage=name,
            score_name=score,
            score=scores[score],
            score_low=scores[f"{score}_low"],
            score_high=scores[f"{score}_high"],
            n_images=scores["n_images"],
            n_groups=scores["n_groups"],
            **self._difference(cell, score),
            params_m=counted.get("params_m"),
            macs_g=counted.get("macs_g"),
            stored_mib=stored,
            factor=self.whole / stored if stored else None,
            train_s=costs["train_s"],
            epochs=epochs_of(made),
            record=Path(cell.folder).as_posix(),
            **more,
        )

    def _difference(self, cell: CellRecords, score: str) -> dict[str, float]:
        """Score minus the base's, with its interval; nothing for the base itself."""
        if cell.folder == self.base.folder or self.runs is None or score not in self.runs:
            return {}
        runs = _runs(cell)
        if runs is None:
            return {}
        made = difference_of(runs[score], self.runs[score]).interval
        ends = {"difference_low": made.low, "difference_high": made.high}
        return {"difference": made.estimate, **ends}
