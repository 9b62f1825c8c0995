"""The whole report of a study: tables, figures and page from the same records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from ..base.errors import ReportError
from ..base.files import (
    atomic_directory,
    atomic_write_bytes,
    atomic_write_text,
    refuse_others_files,
)
from .records.comparison import scored_files
from .records.kept import ENDING
from .records.study import StudyRecords, read_study
from .site.pages import write_site
from .table import Picture, Table
from .topics import parts_of
from .writers.csv import csv_text
from .writers.latex import latex_document
from .writers.markdown import markdown_document
from .writers.parquet import check_library, parquet_bytes
from .writers.stored import FILE, stored_files, stored_text

FIGURES, PAGE = "figures", "index.html"
MADE = (FIGURES, "gallery", "pages", PAGE)
WRITERS: dict[str, Callable[[Table, Path], bytes]] = {
    "csv": lambda table, _: csv_text(table).encode(),
    "md": lambda table, out: markdown_document(table, out).encode(),
    "tex": lambda table, _: latex_document(table).encode(),
    "parquet": lambda table, _: parquet_bytes(table),
}


@dataclass(frozen=True)
class Report:
    """What a report says.

    Attributes:
        study: The records.
        parts: Tables and pictures of all topics, in the order of the page.
    """

    study: StudyRecords
    parts: Sequence[Table | Picture]

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [part for part in self.parts if isinstance(part, Table)]

    @property
    def pictures(self) -> list[Picture]:
        """All figures."""
        return [part for part in self.parts if isinstance(part, Picture)]


def make_report(
    run_dirs: Iterable[str | Path],
    models_dir: str | Path = "models",
    is_kept: bool = False,
    notes: Sequence[str] = (),
    is_partial: bool = False,
) -> Report:
    """Read the records of cells and let every topic say what it has to; nothing is written.

    Args:
        run_dirs: Folders of cells, or folders above them.
        models_dir: Where method cards lie, for titles.
        is_kept: Whether these are kept records: what they lack is told in a note of the first table.
        notes: What else that table says below its rows, such as which datasets were left out.
        is_partial: Whether these are cells of a study that is not made whole: those that are not scored are left out,
            and what the others lack is told in a note of the first table.

    Raises:
        ReportError: A record is missing, or records do not belong together.
    """
    if is_partial:
        run_dirs, unscored = _scored(run_dirs)
        notes = [*notes, *unscored]
    study = read_study(run_dirs, models_dir, is_kept or is_partial)
    parts = _with_notes(parts_of(study), notes)
    if is_partial:
        return Report(study, _with_notes(parts, study.lacks or []))
    return Report(study, _with_lacks(study, parts) if is_kept else parts)


def _scored(cells: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """The folders of cells that are scored, and a sentence on the others.

    Raises:
        ReportError: None is scored.
    """
    folders = [Path(cell) for cell in cells]
    scored = [folder for folder in folders if (folder / "accuracy.json").is_file()]
    if not scored:
        named = ", ".join(map(str, folders[:3])) or "report"
        raise ReportError(named, "scored cells", 0, "run snakemake scores first")
    missing = len(folders) - len(scored)
    told = f"{missing} of {len(folders)} cells of the study are not scored yet."
    return scored, [told] if missing else []


def _with_notes(
    parts: Sequence[Table | Picture], notes: Sequence[str]
) -> Sequence[Table | Picture]:
    """The same parts, the first table with further notes."""
    if not notes:
        return parts
    (first, *others) = parts
    assert isinstance(first, Table)
    return [replace(first, notes=[*first.notes, *notes]), *others]


def _with_lacks(study: StudyRecords, parts: Sequence[Table | Picture]) -> list[Table | Picture]:
    """The parts of kept records, which have no images: the first table says what is not there."""
    cells = [cell for entry in study.entries for cell in entry.cells]
    bare = [cell for cell in cells if scored_files(cell) is None]
    lacks = [*(study.lacks or []), "No images are kept, so there is no gallery."]
    if bare:
        lacks.append(
            f"{len(bare)} of {len(cells)} cells were kept without predictions or truth: "
            "their intervals are compared, not their images."
        )
    return [*_with_notes(parts, lacks)]


def render_reference(
    folder: str | Path,
    out_dir: str | Path,
    models_dir: str | Path = "models",
    with_parquet: bool = False,
) -> Report:
    """Render a folder of kept records by itself; what they lack is told in a note of the first table.

    Args:
        folder: The folder, such as ``results/reference/neu-det``.
        out_dir: Gets the tables, ``figures/``, ``pages/`` and ``index.html``.
        models_dir: Where method cards lie, for titles.
        with_parquet: As in ``render_report``.

    Raises:
        ReportError: There is no cell, or records do not belong together.
        ConfigError: The library of Parquet is not installed.
    """
    name = Path(folder).name
    return render_report(
        [folder], out_dir, name, models_dir, is_kept=True, with_parquet=with_parquet
    )


def render_report(
    run_dirs: Iterable[str | Path],
    out_dir: str | Path,
    study: str,
    models_dir: str | Path = "models",
    is_kept: bool = False,
    notes: Sequence[str] = (),
    is_partial: bool = False,
    with_parquet: bool = False,
) -> Report:
    """Render the report of a study; all of it comes from the same records.

    Args:
        run_dirs: Folders of cells, or folders above them.
        out_dir: Gets the tables, ``figures/``, ``gallery/``, ``pages/`` and ``index.html``.
        study: Name of the study, for the page's title.
        models_dir: Where method cards lie, for titles.
        is_kept: As in ``make_report``.
        notes: As in ``make_report``.
        is_partial: As in ``make_report``.
        with_parquet: Whether every table that stands as CSV stands as Parquet as well.

    Returns:
        What the report says.

    Raises:
        ReportError: A record is missing, or records do not belong together.
        FileAccessError: The folder holds pages, figures or a gallery that were not rendered here.
        ConfigError: The library of Parquet is not installed.
    """
    run_dirs = [Path(folder) for folder in run_dirs]
    if not is_kept:
        _refuse_kept(run_dirs, out_dir)
    if with_parquet:
        check_library()
    for name in MADE:
        refuse_others_files(Path(out_dir) / name, Path(out_dir) / FILE)
    report = make_report(run_dirs, models_dir, is_kept, notes, is_partial)
    write_tables(report.tables, out_dir, with_parquet)
    draw_pictures(report.pictures, out_dir)
    write_site(report.study, report.parts, out_dir, study, has_images=not is_kept)
    return report


def _refuse_kept(run_dirs: Sequence[Path], out_dir: str | Path) -> None:
    """Kept records have no images for a gallery: stop before half a report of them is written.

    Raises:
        ReportError: A folder holds kept records.
    """
    for folder in run_dirs:
        if next(folder.rglob(f"predictions.json{ENDING}"), None) is not None:
            fix = f"render them with: defectbench report-reference {quote(str(folder))} --out {quote(str(out_dir))}"
            raise ReportError(folder, "records", "kept ones, without images", fix)


def write_tables(tables: Sequence[Table], out_dir: str | Path, with_parquet: bool = False) -> None:
    """Write all tables, each atomically; what the study has no rows for does not stay from another one."""
    out = Path(out_dir)
    files = {
        f"{table.name}.{end}": WRITERS[end](table, out)
        for table in tables
        for end in _endings(table, with_parquet)
    }
    for name in set(stored_files(out)) - set(files):
        (out / name).unlink(missing_ok=True)
    for name, content in files.items():
        atomic_write_bytes(out / name, content)
    atomic_write_text(out / FILE, stored_text(tables, list(files)))


def _endings(table: Table, with_parquet: bool) -> list[str]:
    more = ["parquet"] if with_parquet and "csv" in table.formats else []
    return [end for end in WRITERS if end in (*table.formats, *more)]


def draw_pictures(pictures: Sequence[Picture], out_dir: str | Path) -> None:
    """Draw all figures, the folder of them atomically.

    Args:
        pictures: What to draw.
        out_dir: Folder of the report.

    Raises:
        ReportError: A history, truth or predictions are missing.
    """
    from .figures.style import figure_style, save

    with figure_style(), atomic_directory(Path(out_dir) / FIGURES) as folder:
        for picture in pictures:
            figure = picture.draw()
            if figure is not None:
                save(figure, folder, picture.name, picture.kinds)
