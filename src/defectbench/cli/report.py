"""Verbs of the report: tables, figures and a page from the records of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .options import Folder


def report(
    runs: Annotated[list[Path], Argument(help="Folders of cells, or folders that hold them.")],
    study: Annotated[str, Option(help="Name of the study, for titles.")],
    out: Folder,
    models: Annotated[Path, Option(help="Folder of the methods, whose cards are read.")] = Path(
        "models"
    ),
) -> None:
    """Render tables, figures and a page; print the table."""
    from ..measure.claims import check_claims, write_claims
    from ..report.compression_claims import check_compression_claims
    from ..report.render import render_report
    from ..report.terminal import print_comparison

    tables = render_report(runs, out, study, models)
    compressed = check_compression_claims(models, tables.stages)
    findings = [*check_claims(models, runs), *compressed]
    write_claims(findings, out / "claims.csv")
    for rows, name in ((tables.rows, "comparison"), (tables.classes.rows, "classification")):
        if rows:
            print_comparison(out / f"{name}.csv")


def show(table: Annotated[Path, Argument(help="comparison.csv of a report.")]) -> None:
    """Print the comparison table."""
    from ..report.terminal import print_comparison

    print_comparison(table)


VERBS = {"report": report, "show": show}
