"""What a report says, and single parts of it, made as ``render_report`` makes them together."""

from types import SimpleNamespace

from defectbench.report.render import draw_pictures, make_report, write_tables
from defectbench.report.site.pages import write_site
from defectbench.report.topics import classification, compression, detection


def said(report):
    """Rows, pairs, stages and notes of a report."""
    study = report.study
    rows, pairs = study.share(detection.compared)
    tables = {table.name: table for table in report.tables}

    def notes(name):
        return list(tables[name].notes) if name in tables else []

    classes = SimpleNamespace(
        entries=classification.entries_of(study),
        rows=study.share(classification.rows_of),
        pairs=study.share(classification.compared),
        notes=notes("classification"),
    )
    return SimpleNamespace(
        entries=detection.entries_of(study),
        rows=rows,
        pairs=pairs,
        notes=notes("comparison"),
        classes=classes,
        stages=compression.stages_of(study),
        tables=tables,
        report=report,
    )


def make_tables(runs, models="models"):
    """What the report of some cells says."""
    return said(make_report(runs, models))


def tabulate(runs, out):
    """Write the tables of some cells; returns what they say."""
    made = make_tables(runs)
    write_tables(made.report.tables, out)
    return made


def draw(runs, out):
    """Draw the figures."""
    draw_pictures(make_report(runs).pictures, out)


def build_site(runs, out, study):
    """Write the pages with what lies in ``out`` already."""
    report = make_report(runs)
    write_site(report.study, report.parts, out, study)
