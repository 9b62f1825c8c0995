"""Verbs of the report: tables, figures and a site from the records of cells; and the site in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .options import Folder

Parquet = Annotated[
    bool,
    Option("--parquet", help="Write tables as Parquet as well, where they stand as CSV."),
]


def report(
    runs: Annotated[list[Path], Argument(help="Folders of cells, or folders that hold them.")],
    study: Annotated[str, Option(help="Name of the study, for titles.")],
    out: Folder,
    models: Annotated[Path, Option(help="Folder of the methods, whose cards are read.")] = Path(
        "models"
    ),
    note: Annotated[
        list[str] | None,
        Option(help="What the reader has to know of the study; repeat it for more."),
    ] = None,
    made: Annotated[
        bool,
        Option(
            "--made",
            help="Show what is made of a study: cells that are not scored are left out, and a note says so.",
        ),
    ] = False,
    parquet: Parquet = False,
) -> None:
    """Render tables, figures and a site of pages; print the table."""
    from ..report.render import render_report
    from ..report.writers.terminal import print_tables
    from .checks import check_models_folder

    check_models_folder(models)
    rendered = render_report(
        runs, out, study, models, notes=note or (), is_partial=made, with_parquet=parquet
    )
    print_tables(rendered.tables, page=str(out / "index.html"))


def show(
    table: Annotated[Path, Argument(help="Folder of a report, or a table in it.")],
) -> None:
    """Print the tables of a report again."""
    from ..report.writers.stored import stored_tables
    from ..report.writers.terminal import print_tables

    print_tables(stored_tables(table))


def serve(
    folder: Annotated[
        Path | None,
        Argument(help="Folder of a report; by default the newest below results/."),
    ] = None,
    port: Annotated[int, Option(help="Port; 0 takes any that is free.", min=0, max=65535)] = 8000,
) -> None:
    """Show a report in a browser on this machine; Ctrl-C ends it."""
    from ..report.site.serving import newest_report, site_server

    with site_server(folder or newest_report(Path("results")), port) as (server, address):
        print(f"{address}  (Ctrl-C ends it)", flush=True)  # noqa: T201
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()  # noqa: T201


def report_reference(
    folder: Annotated[
        Path, Argument(help="Folder of kept records, such as results/reference/neu-det.")
    ],
    out: Folder,
    models: Annotated[Path, Option(help="Folder of the methods, whose cards are read.")] = Path(
        "models"
    ),
    parquet: Parquet = False,
) -> None:
    """Render a folder of kept records by itself; its first table says what it lacks."""
    from ..report.render import render_reference
    from ..report.writers.terminal import print_tables
    from .checks import check_models_folder

    check_models_folder(models)
    made = render_reference(folder, out, models, parquet)
    print_tables(made.tables, page=str(out / "index.html"))


def keep_reference(
    runs: Annotated[list[Path], Argument(help="Folders of cells, or folders that hold them.")],
    out: Folder,
    files: Annotated[
        bool,
        Option("--files", help="Keep model files as well, for `gate` to race later ones with."),
    ] = False,
) -> None:
    """Keep records, compressed predictions, truth and certificates of cells: no images, weights if asked."""
    from ..report.reference import keep_reference as keep

    lacks: list[str] = []
    for folder in keep(runs, out, lacks, files):
        print(folder)  # noqa: T201
    for sentence in lacks:
        print(sentence, file=sys.stderr)  # noqa: T201


def audit_claims(
    runs: Annotated[
        list[Path] | None,
        Argument(
            help="Folders of cells that claims on methods' cards are held against; none by default."
        ),
    ] = None,
    models: Annotated[Path, Option(help="Folder of the methods and of printed tables.")] = Path(
        "models"
    ),
    out: Annotated[Path, Option(help="Folder to write to.")] = Path("results/claims"),
) -> None:
    """Check the arithmetic of tables that papers print, and claims on methods' cards; print and write both tables."""
    from ..report.claims_audit import claims_audit
    from ..report.render import write_tables
    from ..report.writers.terminal import print_tables
    from .checks import check_models_folder

    check_models_folder(models)
    tables = claims_audit(models, runs or ())
    write_tables(tables, out)
    print_tables(tables)
    print(f"written to {out}")  # noqa: T201


VERBS = {
    "report": report,
    "show": show,
    "serve": serve,
    "keep-reference": keep_reference,
    "report-reference": report_reference,
    "audit-claims": audit_claims,
}
