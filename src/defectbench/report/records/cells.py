"""The records of cells: found, checked against each other, and joined by method."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from ...base.compressions import (
    JOINT,
    base_method,
    compressed_title,
)
from ...base.errors import ReportError
from ...base.methods import MethodCard, load_card
from ...base.records import ABSENT, read_record
from ...base.studies import PROTOCOLS, base_protocol
from .cell import CellRecords
from .certificates import certificate_path
from .kept import content_sha256, kept_file

CONTROL_TITLES = {  # in the order of tables
    "control_memoriser": "Memoriser",
    "control_class_prior": "Class prior",
    "control_label_jitter": "Label jitter, unranked",
    "control_label_jitter_ranked": "Label jitter, ideally ranked",
    "control_label_jitter_half": "Half the label jitter, ideally ranked",
    "control_oracle": "Oracle",
    "control_random_score": "Random score",
    "control_mean_grey": "Mean grey level",
    "control_grey_deviation": "Mean grey level, distance from training",
}
FLOORS = ("control_memoriser", "control_class_prior")
CEILING = "control_label_jitter_half"
MEANINGS = {
    "control_label_jitter": "the truth as a second annotator would draw it, every box at score 1: a reference and no "
    "ceiling, since nothing ranks its boxes",
    "control_label_jitter_ranked": "the same boxes, each scored by its IoU with the truth: the ceiling of a program "
    "that draws boxes as one more annotator",
    "control_label_jitter_half": "boxes that differ from the truth by the noise of one annotator, as those at the mean "
    "of all would: the ceiling of a detector",
}
OWN_RUNNER = "own"  # names the latency of a method without a model file
_BUDGET = ("epochs", "batch", "size_px")
_SEED = re.compile(r"seed(\d+)")
_PLACE = ("runs", "dataset", "protocol", "method", "seed")

Key = tuple[str, str, str]  # dataset, protocol, method


@dataclass(frozen=True)
class Entry:
    """All seeds of one method on one dataset under one protocol: a row of the table.

    Attributes:
        title: Name of the method in tables.
        cells: One cell a seed, by ascending seed.
        certificate: The certificate of the split.
        certificate_path: Where it lies.
        control_of: Method whose compression this one is the control of, as its card says.
    """

    title: str
    cells: list[CellRecords]
    certificate: dict[str, Any]
    certificate_path: Path
    control_of: str | None = None

    @property
    def first(self) -> CellRecords:
        """The cell of the lowest seed."""
        return self.cells[0]

    @property
    def task(self) -> str:
        """What the method solves."""
        return self.first.task

    @property
    def leak_share(self) -> float:
        """Share of test images that show surface of a training image."""
        figures = self.certificate["figures"]
        return figures["shared_images"]["train-test"] / figures["images"]["test"]


def find_cells(run_dirs: Iterable[str | Path], lacks: list[str] | None = None) -> list[CellRecords]:
    """Read the records of all cells at or below some folders.

    Args:
        run_dirs: Folders of cells (``.../<dataset>/<protocol>/<method>/seed<k>``) or folders above.
        lacks: Gets a sentence on each record of cost that a stored cell lacks; without it, one that lacks is an error.

    Returns:
        The cells by dataset, protocol, method and seed, each once.

    Raises:
        ReportError: There is no cell, or a cell lacks a record or holds records of two models.
    """
    asked = [Path(path) for path in run_dirs]
    folders = {folder for path in asked for folder in _cell_folders(path)}
    if not folders:
        raise ReportError(
            ", ".join(map(str, asked)) or "report", "cells", 0, "run snakemake --cores 8 all first"
        )
    cells = (_read_cell(folder, lacks) for folder in sorted(folders))
    return sorted((cell for cell in cells if not cell.is_absent), key=_order)


def absences(entries: Iterable[Entry]) -> list[str]:
    """Why controls have no row beside methods and other controls, in words; each reason once."""
    reasons = {}
    for entry in entries:
        where = f"{entry.first.dataset}, {entry.first.protocol}"
        for path in sorted(entry.first.folder.parents[1].glob("control_*/seed*/accuracy.json")):
            figures = read_record(path, "accuracy")["figures"]
            if ABSENT in figures:
                reasons[where, figures[ABSENT]] = None
    return [f"No row of the label jitter on {where}: {why}." for where, why in reasons]


def _cell_folders(path: Path) -> list[Path]:
    """Cells at or below a path. A cell is known by its place, so short paths are completed."""
    named = [path] if _SEED.fullmatch(path.name) else path.glob("**/seed*")
    folders = [folder for folder in named if _SEED.fullmatch(folder.name)]
    whole = [
        folder if len(folder.parts) >= len(_PLACE) else folder.absolute() for folder in folders
    ]
    return [folder for folder in whole if folder == path or any(folder.glob("*.json"))]


def _order(cell: CellRecords) -> tuple[str, int, str, str, int]:
    """Cells of one table stand together: protocols of one rank, such as shares of a training part, are told apart."""
    return cell.dataset, protocol_rank(cell.protocol), cell.protocol, cell.method, cell.seed


def protocol_rank(protocol: str) -> int:
    """Place of a protocol in tables: the honest one first."""
    base = base_protocol(protocol)
    return PROTOCOLS.index(base) if base in PROTOCOLS else len(PROTOCOLS)


def _read_cell(folder: Path, lacks: list[str] | None) -> CellRecords:
    dataset, protocol, method, seed = folder.parts[-4:]
    number = int(seed.removeprefix("seed"))
    accuracy = read_figures(folder / "accuracy.json", "accuracy", "snakemake --cores 8 scores")
    _check_scored_file(folder, accuracy)
    cell = CellRecords(folder, dataset, protocol, method, number, accuracy)
    if cell.is_control:
        return cell
    if lacks is not None:
        return _stored_cell(cell, lacks)
    train = read_figures(folder / "train.json", "train", f"snakemake --cores 8 {folder}/train.json")
    by_runner = folder / "latency" / f"{OWN_RUNNER}.json"
    if by_runner.exists():
        latency = read_record(by_runner, "latency")
        return replace(cell, train=train, latency=latency, engine=OWN_RUNNER)
    command = f"defectbench count --model {folder}/model.onnx --out {folder}/complexity.json"
    complexity = read_figures(folder / "complexity.json", "complexity", command)
    timed = latency_path(folder)
    latency = read_figures(timed, "latency", f"defectbench race {folder}")
    _check_one_model(timed, latency, accuracy, complexity)
    return replace(cell, train=train, complexity=complexity, latency=latency, engine=timed.stem)


def _stored_cell(cell: CellRecords, lacks: list[str]) -> CellRecords:
    """A cell that was kept, with what there is of its records of cost."""
    timed = latency_path(cell.folder)
    paths = {
        "train": cell.folder / "train.json",
        "complexity": cell.folder / "complexity.json",
        "latency": timed,
    }
    records = {kind: read_record(path, kind) for kind, path in paths.items() if path.is_file()}
    if "latency" in records and timed.stem != OWN_RUNNER:
        _check_one_model(timed, records["latency"], cell.accuracy, records.get("complexity"))
    missing = [kind for kind in paths if kind not in records]
    if "complexity" in missing and timed.stem == OWN_RUNNER:
        missing.remove("complexity")
    if missing:
        lacks.append(
            f"{cell.method} on {cell.dataset}, {cell.protocol}, seed {cell.seed}, has no record of "
            f"{' and '.join(missing)}."
        )
    return replace(cell, **records, engine=timed.stem if "latency" in records else "")


def latency_path(folder: Path) -> Path:
    """The latency record that tables use: onnxruntime's, else the first engine's by name."""
    usual = folder / "latency" / "onnxruntime.json"
    others = sorted((folder / "latency").glob("*.json"))
    return others[0] if others and not usual.exists() else usual


def read_figures(path: Path, kind: str, command: str) -> dict[str, Any]:
    """Read a record that a table needs.

    Raises:
        ReportError: It is missing; names the command that makes it.
        ConfigError: It is of another kind or schema.
    """
    if not path.is_file():
        raise ReportError(path, f"{kind} record", "nothing", f"make it with: {command}")
    return read_record(path, kind)


def _evaluate_command(folder: Path, accuracy: dict[str, Any]) -> str:
    """The command that scores the predictions of a cell again, on the truth that its record names."""
    truth = {name: accuracy["inputs"][name]["path"] for name in ("annotations", "images", "groups")}
    options = " ".join(f"--{name} {path}" for name, path in truth.items())
    return (
        f"defectbench evaluate --predictions {folder}/predictions.json {options}"
        f" --out {folder}/accuracy.json"
    )


def _check_scored_file(folder: Path, accuracy: dict[str, Any]) -> None:
    """Predictions that were made anew after scoring would stand beside an old score."""
    predictions = kept_file(folder / "predictions.json")
    scored = accuracy["inputs"]["predictions"]["sha256"]
    if predictions.is_file() and content_sha256(predictions) != scored:
        fix = f"score them again with: {_evaluate_command(folder, accuracy)}"
        raise ReportError(folder / "accuracy.json", "inputs.predictions.sha256", scored, fix)


def _check_one_model(
    path: Path,
    latency: dict[str, Any],
    accuracy: dict[str, Any],
    complexity: dict[str, Any] | None,
) -> None:
    """The timed file must be the counted and the scored file.

    A framework that writes its predictions itself names no model that was scored.
    """
    timed = latency["inputs"]["model"]["sha256"]
    others = {"scored": accuracy.get("model_sha256")}
    if complexity is not None:
        others["counted"] = complexity["inputs"]["model"]["sha256"]
    for what, other in others.items():
        if other and other != timed:
            fix = f"the {what} file is {other}; score, count and time the same model.onnx"
            raise ReportError(path, "inputs.model.sha256", timed, fix)


def find_entries(
    run_dirs: Iterable[str | Path],
    models_dir: str | Path = "models",
    lacks: list[str] | None = None,
) -> list[Entry]:
    """Join cells by dataset, protocol and method; the rows of all tables and figures.

    Args:
        run_dirs: Folders of cells, or folders above.
        models_dir: Where method cards lie, for titles.
        lacks: As in ``find_cells``.

    Raises:
        ReportError: A record is missing, or two methods were scored on different test parts.
    """
    entries = []
    for (_, _, method), group in groupby(find_cells(run_dirs, lacks), key=_row_of):
        cells = list(group)
        path = certificate_path(cells[0])
        dataset, protocol = cells[0].dataset, cells[0].protocol
        command = f"defectbench certify --dataset results/data/{dataset} --protocol {protocol}"
        certificate = read_figures(path, "certificate", command)
        card = _card_of(method, models_dir)
        title = method_title(method, models_dir)
        control_of = card.control_of if card and JOINT not in method else None
        entries.append(Entry(title, cells, certificate, path, control_of))
    for _, rivals in groupby(entries, key=lambda entry: _row_of(entry.first)[:2]):
        _check_one_test_part([cell for entry in rivals for cell in entry.cells])
    return entries


def _row_of(cell: CellRecords) -> tuple[str, str, str]:
    return cell.dataset, cell.protocol, cell.method


def _check_one_test_part(cells: Sequence[CellRecords]) -> None:
    hashes = [cell.accuracy["inputs"]["images"]["sha256"] for cell in cells]
    for cell, listed in zip(cells, hashes, strict=True):
        if listed != hashes[0]:
            fix = f"{cells[0].folder} was scored on list {hashes[0]}; score both on one test part"
            raise ReportError(cell.folder / "accuracy.json", "inputs.images.sha256", listed, fix)


def method_title(method: str, models_dir: str | Path = "models") -> str:
    """The name of a method in tables: from its card, or its own name where there is no card."""
    if method in CONTROL_TITLES:
        return CONTROL_TITLES[method]
    card = _card_of(method, models_dir)
    title = card.title if card else base_method(method)
    return compressed_title(title, method) if JOINT in method else title


def _card_of(method: str, models_dir: str | Path) -> MethodCard | None:
    """The card of a method, of its base where it is compressed; None where there is none."""
    folder = Path(models_dir) / base_method(method)
    return load_card(folder) if (folder / "card.yaml").exists() else None


def teacher_c_of(cell: CellRecords) -> Path | None:
    """Folder of the class-balanced teacher beside a base; none where it was trained on another pack or budget."""
    folder = cell.folder / "teacher_c"
    if cell.train is None or not all(
        (folder / f"{n}.json").is_file() for n in ("accuracy", "train")
    ):
        return None
    taught = read_record(folder / "train.json", "train")
    same = all(taught["figures"].get(n) == cell.train["figures"].get(n) for n in _BUDGET)
    packs = {train["inputs"].get("pack", {}).get("sha256") for train in (taught, cell.train)}
    return folder if same and len(packs) == 1 else None


def epochs_of(train: dict[str, Any]) -> int:
    """Epochs of a run and of those that it started from, with those of a teacher that is none of them.

    A student that starts afresh has its own alone.
    """
    figures, lineage = train["figures"], train.get("lineage", ())
    teacher = train["inputs"].get("teacher", {}).get("sha256")
    taught = figures.get("teacher_epochs", 0) if lineage and teacher not in lineage else 0
    return figures["epochs"] + figures.get("start_epochs", 0) + taught


def control_rank(method: str) -> int:
    """Place of a control among the rows of a table."""
    names = list(CONTROL_TITLES)
    return names.index(method) if method in names else len(names)


def key_of(entry: Entry) -> Key:
    """Dataset, protocol and method of a row."""
    return entry.first.dataset, entry.first.protocol, entry.first.method


def record_links(cell: CellRecords) -> dict[str, str]:
    """Paths of what lies behind a cell, by name."""
    predictions = kept_file(cell.folder / "predictions.json").name
    names = {"accuracy": "accuracy.json", "predictions": predictions}
    if not cell.is_control:
        names |= {
            "complexity": "complexity.json",
            "latency": f"latency/{cell.engine}.json",
            "training": "train.json",
            "history": "history.csv",
        }
        if teacher_c_of(cell):
            names |= {"teacher C": "teacher_c/accuracy.json"}
    present = {name: cell.folder / file for name, file in names.items()}
    return {name: path.as_posix() for name, path in present.items() if path.exists()}
