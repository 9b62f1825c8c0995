"""The whole report of a study: tables, figures, gallery and page from the same records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..base.files import atomic_directory
from .class_figures import draw_class_figures
from .compression_figure import draw_compression
from .figures import draw_figures
from .gallery import draw_galleries
from .site import write_site
from .tables import Tables, make_tables, write_tables


def render_report(
    run_dirs: Iterable[str | Path],
    out_dir: str | Path,
    study: str,
    models_dir: str | Path = "models",
) -> Tables:
    """Render the report of a study; all of it comes from the same records.

    Args:
        run_dirs: Folders of cells, or folders above them.
        out_dir: Gets the tables, ``figures/``, ``gallery/`` and ``index.html``.
        study: Name of the study, for the page's title.
        models_dir: Where method cards lie, for titles.

    Returns:
        What the tables say.

    Raises:
        ReportError: A record is missing, or records do not belong together.
    """
    tables = make_tables(run_dirs, models_dir)
    write_tables(tables, out_dir)
    with atomic_directory(Path(out_dir) / "figures") as folder:
        draw_figures(tables.entries, folder, tables.rows)
        draw_class_figures(tables.classes, folder)
        draw_compression(tables.stages, folder)
    draw_galleries(tables.entries, out_dir)
    write_site(tables, out_dir, study)
    return tables
