"""The whole report of a study: tables, figures, gallery and page from the same records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .figures import plot_entries
from .gallery import draw_galleries
from .site import write_site
from .tables import make_tables, write_tables


def render_report(
    run_dirs: Iterable[str | Path],
    out_dir: str | Path,
    study: str,
    models_dir: str | Path = "models",
) -> None:
    """Render the report of a study; all of it comes from the same records.

    Args:
        run_dirs: Folders of cells, or folders above them.
        out_dir: Gets the tables, ``figures/``, ``gallery/`` and ``index.html``.
        study: Name of the study, for the page's title.
        models_dir: Where method cards lie, for titles.

    Raises:
        ReportError: A record is missing, or records do not belong together.
    """
    tables = make_tables(run_dirs, models_dir)
    write_tables(tables, out_dir)
    plot_entries(tables.entries, out_dir, tables.rows)
    draw_galleries(tables.entries, out_dir)
    write_site(tables, out_dir, study)
