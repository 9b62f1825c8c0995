"""Where the templates of reports lie, and how they are filled."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from ...base.errors import ReportError

FOLDERS = (Path("reports"), Path(__file__).parents[4] / "reports")


@cache
def environment(_here: Path, **syntax: Any) -> jinja2.Environment:
    """What templates are read and filled with, kept with those that were read.

    Args:
        _here: The working folder, whose ``reports`` come first.
        syntax: As of ``render``.
    """
    return jinja2.Environment(  # noqa: S701 - each template states its own escaping
        loader=jinja2.FileSystemLoader(FOLDERS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **syntax,
    )


def render(name: str, values: dict[str, Any], **syntax: Any) -> str:
    """Fill a template of ``reports/``.

    Args:
        name: File name of the template.
        values: What it is filled with; a missing value is an error.
        syntax: Settings of the Jinja2 environment, such as other delimiters.

    Raises:
        ReportError: The template is not there, or asks for a value that is not given.
    """
    try:
        return environment(Path.cwd(), **syntax).get_template(name).render(values)
    except jinja2.TemplateNotFound as error:
        places = [str(folder) for folder in FOLDERS]
        fix = "run in the repository, which holds reports/"
        raise ReportError(name, "template", places, fix) from error
    except jinja2.UndefinedError as error:
        raise ReportError(name, "value", error.message, "give the template this value") from error
