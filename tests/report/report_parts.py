"""Single parts of a report, made as ``render_report`` makes them together."""

from pathlib import Path

from defectbench.base.files import atomic_directory
from defectbench.report.collect import find_entries
from defectbench.report.figures import draw_figures
from defectbench.report.gallery import draw_galleries
from defectbench.report.site import write_site
from defectbench.report.tables import make_tables, write_tables


def tabulate(runs, out):
    """Write the tables of some cells; returns what they say."""
    tables = make_tables(runs)
    write_tables(tables, out)
    return tables


def plot(runs, out):
    """Draw the figures of detectors."""
    tables = make_tables(runs)
    with atomic_directory(Path(out) / "figures") as folder:
        draw_figures(tables.entries, folder, tables.rows)


def gallery(runs, out):
    """Draw the galleries."""
    draw_galleries(find_entries(runs), out)


def build_site(runs, out, study):
    """Write the page with what lies in ``out`` already."""
    write_site(make_tables(runs), out, study)
