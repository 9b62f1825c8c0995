"""Where the data behind a cell lie: its dataset, its truth, and the certificate of its split."""

from __future__ import annotations

from pathlib import Path

from ...base.records import read_record
from .cell import CellRecords

CERTIFICATE = "certificate.json"


def data_folder(folder: Path) -> Path:
    """Folder of a cell's dataset: beside the runs, or beside the folder of the study that owns them."""
    beside = folder.parents[4] / "data" / folder.parts[-4]
    shared = folder.parents[4].parent / "data" / folder.parts[-4]
    return shared if shared.is_dir() and not beside.is_dir() else beside


def certificate_path(cell: CellRecords) -> Path:
    """The certificate of a cell's split: beside kept cells, kept truth, or the list of images that was scored on.

    Of cells that were kept without one, it is that of the same list beside others in the folder of references.
    """
    listed = cell.accuracy["inputs"]["images"]
    places = [
        cell.folder.parents[1],
        kept_truth(cell),
        Path(listed["path"]).parent,
        data_folder(cell.folder) / cell.protocol,
    ]
    paths = [folder / CERTIFICATE for folder in places]
    if not any(path.is_file() for path in paths):
        paths = [*_certificates_of(listed["sha256"], cell.folder), *paths[2:]]
    return next((path for path in paths if path.is_file()), paths[0])


def _certificates_of(sha256: str, folder: Path) -> list[Path]:
    """Certificates of one list of test images among kept references."""
    above = next((path for path in folder.parents if path.name == "reference"), None)
    kept = sorted(above.rglob(CERTIFICATE)) if above else []
    hashes = [read_record(path, "certificate")["inputs"].get("test.txt", {}) for path in kept]
    return [path for path, entry in zip(kept, hashes, strict=True) if entry.get("sha256") == sha256]


def kept_truth(cell: CellRecords) -> Path:
    """Where the truth of a kept cell lies: ``data/<dataset>/<protocol>`` beside the folder of its dataset."""
    folders = [cell.folder, *cell.folder.parents]
    seed = next(folder for folder in folders if folder.name == f"seed{cell.seed}")
    return seed.parents[3] / "data" / cell.dataset / cell.protocol
