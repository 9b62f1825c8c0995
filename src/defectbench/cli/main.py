"""The command: its verbs by topic, and how it ends. What a verb needs is imported when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from typer import Exit, Typer, TyperException
from typer.core import TyperGroup

from ..base.errors import DefectBenchError
from ..base.files import error_number, named_refusal
from . import (
    cfp,
    data,
    document,
    edge,
    engines,
    gate,
    measure,
    own,
    report,
    slimming,
    training,
    weights,
)

TOPICS = {
    "Your own pictures": own.VERBS,
    "Data": data.VERBS,
    "Training": training.VERBS,
    "Network slimming": slimming.VERBS,
    "Collaborative filter pruning": cfp.VERBS,
    "Measures": measure.VERBS,
    "Engines": engines.VERBS,
    "Published weights": weights.VERBS,
    "Report": report.VERBS,
    "Gate": gate.VERBS,
    "Documentation": document.VERBS,
    "Boards": edge.VERBS,
}
GROUPS = {  # of verbs of two words
    "edge": "Run model files on a board that is reached by ssh: pack, run.",
    "gate": "Hold a study against a reference: check, which may be left out, and accept.",
}
USUAL_VERBS = {"gate": "check"}  # what a group does where its second word is left out


class GroupWithUsualVerb(TyperGroup):
    """A group whose second word may be left out: ``gate STUDY`` is ``gate check STUDY``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first argument, or the usual one."""
        usual = USUAL_VERBS[ctx.info_name or ""]
        return super().resolve_command(ctx, args if args[0] in self.commands else [usual, *args])


def build_app() -> Typer:
    """The command with all its verbs."""
    app = Typer(
        name="defectbench",
        help="From raw archives to paper-style tables: one verb a step.",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    groups: dict[str, Typer] = {}
    for topic, verbs in TOPICS.items():
        for name, verb in verbs.items():
            group, _, second = name.partition(" ")
            if not second:
                app.command(name, rich_help_panel=topic)(verb)
                continue
            if group not in groups:
                groups[group] = _group(group)
                app.add_typer(groups[group], name=group, rich_help_panel=topic)
            groups[group].command(second)(verb)
    return app


def _group(name: str) -> Typer:
    if name not in USUAL_VERBS:
        return Typer(help=GROUPS[name])
    # an option in the place of the second word is one of the usual verb
    settings = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
    return Typer(help=GROUPS[name], cls=GroupWithUsualVerb, context_settings=settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line behind the command's name; that of this process by default.

    Returns:
        0 when it is done, 1 when what it checked does not hold, 2 when a named error or a wrong command line
        stopped it (one line on stderr).
    """
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a locale without the letters of a name is no reason to stop
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"  # figures are files, whatever a notebook has left there
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = build_app()(given, prog_name="defectbench", standalone_mode=False)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        verb = next(
            (f" {name}" for name in _verbs() if given[: name.count(" ") + 1] == name.split()), ""
        )
        message = " ".join(error.format_message().split())
        return _refuse(f"{message.rstrip('.')}; see defectbench{verb} --help")
    except BrokenPipeError:
        return _stop_printing()
    except DefectBenchError as error:
        return _refuse(f"{type(error).__name__}: {error}")
    except Exception as error:
        if not isinstance(error, OSError) and error_number(error) is None:
            raise  # an error of the program, which its traceback finds
        refusal = named_refusal(error)
        return _refuse(f"{type(refusal).__name__}: {refusal}")
    return int(status or 0)


def _verbs() -> set[str]:
    return {name for verbs in TOPICS.values() for name in verbs}


def _refuse(line: str) -> int:
    print(" ".join(line.splitlines()), file=sys.stderr)  # noqa: T201
    return 2


def _stop_printing() -> int:
    """Whoever reads the output has seen enough, as ``head`` has; nothing more is printed at the end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
