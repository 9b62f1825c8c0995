"""Verbs of the gate: two studies side by side, a study against a reference, and the reference renewed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from .options import Change, Settings

Study = Annotated[Path, Argument(help="results/<study>, or the folder of its cells.")]
Reference = Annotated[
    Path, Option(help="Folder of the reference, as `gate accept` or `keep-reference` makes it.")
]
Models = Annotated[Path, Option(help="Folder of the methods, whose cards are read.")]
Spread = Annotated[
    Path | None,
    Option(
        help="Table of trainings that differ by seed alone, for methods with too few seeds in the reference."
    ),
]
Out = Annotated[Path | None, Option(help="Folder to write the table to, as CSV and Markdown, too.")]
SPREAD = Path("results/reference/demo-spread/spread.csv")


def compare(
    before: Annotated[Path, Argument(help="The earlier study, or a folder of kept records.")],
    after: Annotated[Path, Argument(help="The later one.")],
    out: Out = None,
    spread: Spread = SPREAD,
    models: Models = Path("models"),
) -> None:
    """Set two studies side by side: scores, counts and speed, and what a difference can be held against."""
    from ..report.render import write_tables
    from ..report.side_by_side import changes_table, compare_studies, read_side
    from ..report.writers.terminal import print_tables
    from .checks import check_models_folder

    check_models_folder(models)
    changes = compare_studies(read_side(before, models), read_side(after, models), spread)
    table = changes_table(changes, (before.as_posix(), after.as_posix()))
    if out is not None:
        write_tables([table], out)
    print_tables([table])
    _print_notes(table.notes)


def check(
    study: Study,
    reference: Reference,
    files: Annotated[
        list[Path] | None,
        Option(
            help="Folder that holds model files of the reference, at any depth, where it kept none; repeat it for more."
        ),
    ] = None,
    out: Out = None,
    spread: Spread = SPREAD,
    speed_tolerance: Annotated[
        float, Option(help="Share by which the time of a file may differ.", min=0, max=1)
    ] = 0.05,
    settings: Settings = None,
    change: Change = None,
    models: Models = Path("models"),
) -> None:
    """Hold a study against a reference; status 1, and the rows, where something changed."""
    from ..base.commandline import parse_settings
    from ..base.studies import LatencySettings
    from ..measure.race_versions import PROTOCOL
    from ..report.gate import GateSettings, hold_gate
    from ..report.render import write_tables
    from ..report.writers.terminal import print_tables
    from .checks import check_models_folder

    check_models_folder(models)
    is_told = settings is not None or change
    latency = parse_settings(LatencySettings, settings, change or []) if is_told else PROTOCOL
    asked = GateSettings(files or (), spread, latency, speed_tolerance)
    gate = hold_gate(study, reference, models, asked)
    if out is not None:
        write_tables([gate.table], out)
    print_tables([gate.table])
    _print_notes(gate.table.notes)
    if gate.offending:
        for line in gate.lines:
            print(line, file=sys.stderr)  # noqa: T201
        fix = f"defectbench gate accept {study} --reference {reference} --why '...'"
        print(f"{len(gate.lines)} rows changed. If that is meant: {fix}", file=sys.stderr)  # noqa: T201
        raise Exit(1)
    print("the gate holds")  # noqa: T201


def accept(
    study: Study,
    reference: Reference,
    why: Annotated[str, Option(help="What changed, and why that is right.")],
    files: Annotated[
        bool, Option("--files", help="Keep model files as well, so that later ones race them.")
    ] = False,
    spread: Spread = SPREAD,
    models: Models = Path("models"),
) -> None:
    """Renew the reference, and write the reason into its log."""
    from ..report.gate import renew
    from .checks import check_models_folder

    check_models_folder(models)
    for line in renew(study, reference, why, models, files, spread):
        print(line)  # noqa: T201


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(note)  # noqa: T201


VERBS = {"compare": compare, "gate check": check, "gate accept": accept}
