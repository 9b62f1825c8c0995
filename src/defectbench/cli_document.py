"""The verb that generates the pages of the documentation, and the verbs as the data of one of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .documentation.commands import Option, Verb

Arguments = argparse.Namespace


def add_document_verb(
    verb: Callable[..., argparse.ArgumentParser], parser: argparse.ArgumentParser
) -> None:
    """Add ``document`` to the verbs of a parser, which the page of the command line describes."""

    def document(args: Arguments) -> None:
        from .documentation.run import document

        document(verbs_of(parser), args.root)

    made = verb("document", document, "generate the pages of results, studies and the command line")
    made.add_argument("--root", type=Path, default=Path(), help="the checkout")


def verbs_of(parser: argparse.ArgumentParser) -> list[Verb]:
    """The verbs of a parser with their options."""
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    meanings = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
    return [
        Verb(
            name,
            "",
            meanings.get(name, ""),
            [_option(a) for a in made._actions if a.dest != "help"],
        )
        for name, made in verbs.choices.items()
    ]


def _option(action: argparse.Action) -> Option:
    name = action.option_strings[0] if action.option_strings else action.dest.upper()
    kind = "" if action.nargs == 0 else getattr(action.type, "__name__", "text").upper()
    takes = "|".join(map(str, action.choices)) if action.choices else str(action.metavar or kind)
    default = "" if action.default in (None, [], False) else str(action.default)
    return Option(name, takes, default, action.required, action.help or "")
