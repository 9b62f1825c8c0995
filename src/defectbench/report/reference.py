"""What a folder of reference keeps of cells: records, predictions, truth and certificates; no images."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..base.errors import ReportError
from ..base.files import atomic_directory, atomic_write_text, refuse_others_files
from .records.cell import CellRecords
from .records.cells import Entry, find_cells, find_entries
from .records.certificates import certificate_path, kept_truth
from .records.comparison import scored_files
from .records.kept import ENDING, keep_compressed
from .records.kept_rows import read_instances
from .topics.engines import KEPT, EngineRow, engine_table, rows_of
from .writers.csv import csv_text

MODEL = "model.onnx"
LARGE = ("predictions.json",)  # kept compressed
LEFT = ("checkpoint",)  # folders of no record
FORMS = "engines"  # whose predictions are many: kept is what they came to, a row a form


def keep_reference(
    run_dirs: Iterable[str | Path],
    out_dir: str | Path,
    lacks: list[str] | None = None,
    with_files: bool = False,
) -> list[Path]:
    """Copy what is to be kept of cells, so that ``render_reference`` renders it by itself.

    A cell comes to lie in ``<out_dir>/<dataset>/<protocol>/<method>/seed<k>``, with its predictions as
    ``predictions.json.gz``; those of its other forms are left out, and what they came to stands in ``engines.csv``
    beside the methods. The truth that it was scored on and the certificate of its split come to lie in
    ``<out_dir>/data/<dataset>/<protocol>``. Paths in records stay those of the run; files are known by their hashes.

    Args:
        run_dirs: Folders of cells, or folders above them.
        out_dir: The folder of reference.
        lacks: Gets a sentence on each record of cost that a cell lacks, as one that was not timed; without it, one that
            lacks is an error.
        with_files: Whether ``model.onnx`` is kept as well, so that its speed can be compared with a later one's.

    Returns:
        The folders of the kept cells.

    Raises:
        ReportError: A cell lacks a record, or the predictions or the truth that it was scored with; or it lies where
            what is kept of it is to lie.
        FileAccessError: Something else lies there.
    """
    folders = [Path(folder) for folder in run_dirs]
    out = Path(out_dir)
    kept = [_keep_cell(cell, out, with_files) for cell in find_cells(folders, lacks)]
    places: dict[tuple[str, str], list[Entry]] = {}
    for entry in find_entries(folders, lacks=[]):
        places.setdefault((entry.first.dataset, entry.first.protocol), []).append(entry)
    for (dataset, protocol), entries in places.items():
        _keep_rows(entries, out / dataset / protocol / KEPT)
    return kept


def _keep_rows(entries: Sequence[Entry], path: Path) -> None:
    """Write the rows of the forms of some methods into those that are kept of others."""
    before = read_instances(path, EngineRow) if path.is_file() else []
    merged = {row.key: row for row in (*before, *rows_of(entries))}
    if merged:
        table = engine_table(sorted(merged.values(), key=lambda row: row.method))
        atomic_write_text(path, csv_text(table))


def _keep_cell(cell: CellRecords, out: Path, with_files: bool) -> Path:
    files = scored_files(cell)
    if files is None:
        fix = "keep it where its predictions and its truth lie as they were scored"
        raise ReportError(cell.folder, "predictions or truth", "changed or gone", fix)
    folder = out / cell.dataset / cell.protocol / cell.method / cell.folder.name
    if folder.resolve() == cell.folder.resolve():
        fix = "the cell would be replaced by what is kept of it: name another folder"
        raise ReportError(out, "--out", "the folder of the cells", fix)
    refuse_others_files(folder, folder / "accuracy.json")
    truth = kept_truth(CellRecords(folder, cell.dataset, cell.protocol, cell.method, cell.seed, {}))
    for name, path in files.items():
        if name != "predictions" and path.suffix == ENDING:
            _keep_file(path, truth / path.name)
        elif name not in ("predictions", "operating_point"):  # of the cell, which keeps them itself
            keep_compressed(path, truth, f"{name}{path.suffix}")
    shutil.copyfile(certificate_path(cell), truth / "certificate.json")
    with atomic_directory(folder) as part:  # last: a cell that lies there is kept whole
        for path in sorted(cell.folder.rglob("*")):
            below = path.relative_to(cell.folder)
            of_form = below.parts[0] == FORMS and path.name.startswith(LARGE)
            is_kept = path.suffix in (".json", ".csv", ENDING) and not set(below.parts) & set(LEFT)
            if is_kept and not of_form:
                _keep_file(path, part / below)
        if with_files and (cell.folder / MODEL).is_file():
            shutil.copyfile(cell.folder / MODEL, part / MODEL)
    return folder


def _keep_file(path: Path, target: Path) -> None:
    if path.name in LARGE:
        keep_compressed(path, target.parent)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
