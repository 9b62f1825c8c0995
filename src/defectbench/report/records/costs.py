"""What a trained method costs: size, operations, latency, training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ...base.records import read_record
from ...measure.statistics import aggregate_seeds
from .cell import CellRecords
from .cells import epochs_of

COUNTS = ("params_m", "macs_g", "gflops", "size_mib")
IMAGE_LATENCY = "image_latency_ms_p50"
TILED = (  # fields that only rows have whose images are cut into tiles
    "tile_px",
    "tile_overlap_px",
    "tiles_per_image",
    *(f"{IMAGE_LATENCY}{end}" for end in ("", "_low", "_high")),
)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The end of every row of a comparison; field names carry units. What a control does not have is None.

    ``ratio_to_reference`` is latency over that of the reference model of one race; earlier timings have none.
    ``precision`` is that of the numbers in training, and of parts of the network that differ; all is measured in
    float32. Where images are cut into tiles, ``latency_ms_..`` and ``fps`` are of a tile, ``image_latency_ms_p50`` is
    of a whole image. ``flags`` says where a score leaves the range of the controls; ``best`` names the figures in which
    the row is distinguishably the best of its block.
    """

    method: str
    params_m: float | None = None
    macs_g: float | None = None
    gflops: float | None = None
    size_mib: float | None = None
    ratio_to_reference: float | None = None
    ratio_to_reference_low: float | None = None
    ratio_to_reference_high: float | None = None
    latency_ms_p50: float | None = None
    latency_ms_p50_low: float | None = None
    latency_ms_p50_high: float | None = None
    latency_ms_p90: float | None = None
    latency_ms_p99: float | None = None
    fps: float | None = None
    latency_valid: bool | None = None
    latency_invalid_because: str = ""
    engine: str = ""
    latency_threads: int | None = None
    train_s: float | None = None
    precision: str | None = None
    images_per_s: float | None = None
    size_px: int | None = None
    epochs: int | None = None
    tile_px: int | None = None
    tile_overlap_px: int | None = None
    tiles_per_image: float | None = None
    image_latency_ms_p50: float | None = None
    image_latency_ms_p50_low: float | None = None
    image_latency_ms_p50_high: float | None = None
    flags: str = ""
    best: str = ""
    record: str = ""

    @property
    def is_control(self) -> bool:
        """Whether the row is a program that learns nothing."""
        return self.method.startswith("control_")


Row = TypeVar("Row", bound=Costs)


def of_whole_images(row: Row) -> Row:
    """A row whose latency is that of a whole image, beside which rows without tiles can stand."""
    if row.image_latency_ms_p50 is None:
        return row
    ends = {
        f"latency_ms_p50{end}": getattr(row, f"{IMAGE_LATENCY}{end}")
        for end in ("", "_low", "_high")
    }
    return replace(row, **ends)


def mean(figures: Sequence[dict[str, Any]], name: str) -> float:
    """Mean of one figure over seeds."""
    return aggregate_seeds([record[name] for record in figures]).estimate


def precision_of(train: dict[str, Any]) -> str | None:
    """Precision of the numbers in a training, as its record has it; parts of the network that differ behind it.

    Example:
        >>> precision_of({"recipe": {"precision": "float32", "options": {"guide_precision": "bfloat16"}}})
        'float32, guide bfloat16'
    """
    recipe = train.get("recipe") or {}
    whole = recipe.get("precision")
    options = recipe.get("options") or {}
    parts = [
        f"{name.removesuffix('_precision')} {value}"
        for name, value in sorted(options.items())
        if name.endswith("_precision") and value != whole
    ]
    return ", ".join([whole, *parts]) if whole else None


def ratio_of(timed: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    """A ratio of latencies with its ends, over seeds; nothing where a timing has none."""
    if not timed or not all(name in figures for figures in timed):
        return {}
    return {
        name: mean(timed, name),
        f"{name}_low": min(figures[f"{name}_low"] for figures in timed),
        f"{name}_high": max(figures[f"{name}_high"] for figures in timed),
    }


def beside_base(cell: CellRecords) -> tuple[str, dict[str, Any]] | None:
    """The record of a compressed cell and its base timed side by side, below the cell's folder; None without one.

    It is the cell's latency itself; cells that were timed before races have a record of both files in turn.
    """
    if cell.latency is not None and "ratio_to_base" in cell.latency["figures"]:
        return f"latency/{cell.engine}.json", cell.latency
    path = cell.folder / "beside_base.json"
    return (path.name, read_record(path, "latency_beside")) if path.is_file() else None


def costs_of(cells: Sequence[CellRecords]) -> dict[str, Any]:
    """Complexity, latency and training of a method, by field name of a row."""
    trained = [cell.train["figures"] for cell in cells if cell.train]
    precisions = [precision_of(cell.train) for cell in cells if cell.train]
    counted = [cell.complexity["figures"] for cell in cells if cell.complexity]
    timed = [cell.latency["figures"] for cell in cells if cell.latency]
    # a method without a model file has predictions and its own runner, and nothing that is counted
    fields: dict[str, Any] = {name: mean(counted, name) for name in COUNTS} if counted else {}
    if timed:
        fields |= _timings(cells, timed)
    if trained:
        fields["train_s"] = mean(trained, "train_s")
        fields["images_per_s"] = mean(trained, "images_per_s")
        fields["precision"] = " or ".join(dict.fromkeys(filter(None, precisions))) or None
        fields["epochs"] = next(epochs_of(cell.train) for cell in cells if cell.train)
    sizes = counted or trained
    fields |= _tiles(cells, timed)
    return {**fields, "size_px": sizes[0].get("size_px") if sizes else None}


def _tiles(cells: Sequence[CellRecords], timed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How images were cut into tiles, and what a whole one costs; nothing where they were not."""
    tiling = cells[0].accuracy.get("tiles")
    if tiling is None:
        return {}
    fields = {"tile_px": tiling["side"], "tile_overlap_px": tiling["overlap"]}
    if timed and all(IMAGE_LATENCY in figures for figures in timed):
        fields["tiles_per_image"] = mean(timed, "tiles_per_image")
        fields[IMAGE_LATENCY] = mean(timed, IMAGE_LATENCY)
        fields[f"{IMAGE_LATENCY}_low"] = min(f[f"{IMAGE_LATENCY}_low"] for f in timed)
        fields[f"{IMAGE_LATENCY}_high"] = max(f[f"{IMAGE_LATENCY}_high"] for f in timed)
    return fields


def _timings(cells: Sequence[CellRecords], timed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    reasons = [reason for figures in timed for reason in figures["invalid_because"]]
    fields = {f"latency_ms_p{p}": mean(timed, f"latency_ms_p{p}") for p in (50, 90, 99)}
    return {
        **fields,
        **ratio_of(timed, "ratio_to_reference"),
        "latency_ms_p50_low": min(figures["latency_ms_p50_low"] for figures in timed),
        "latency_ms_p50_high": max(figures["latency_ms_p50_high"] for figures in timed),
        "fps": 1000 / fields["latency_ms_p50"],
        "latency_valid": all(figures["valid"] for figures in timed),
        "latency_invalid_because": "; ".join(dict.fromkeys(reasons)),
        "engine": cells[0].engine,
        "latency_threads": timed[0]["threads"],
    }
