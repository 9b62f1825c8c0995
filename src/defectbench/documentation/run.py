"""All that is generated, for a whole checkout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..base.errors import ReportError
from ..report.table import RowBlock
from ..report.writers.markdown import markdown_body
from .commands import Verb, commands_page
from .facts import Facts
from .figure import leakage_figure
from .markdown import Page, replace_block, with_files, write_pages
from .reference import References, comparisons, with_columns
from .results import results_pages
from .shelves import shelves_page
from .studies import config_page, studies_page, study_schema

WITH_FILES = (
    "docs/add-a-model.md",
    "docs/add-a-dataset.md",
    "docs/add-a-table.md",
    "docs/weights.md",
)
README_FOLDER = "neu-det-own-recipes"
README_BLOCK = ("neu-det", "clean")
README_COLUMNS = (
    "title",
    "map50",
    "map50_95",
    "params_m",
    "macs_g",
    "ratio_to_reference",
    "latency_ms_p50",
)


def kept_pages(root: str | Path = ".") -> list[Page]:
    """What is generated and kept in the repository: results, their figure, the schema, files within pages.

    Args:
        root: The checkout.

    Raises:
        ReportError: A page asks for what no record has.
    """
    home = Path(root)
    reference, models = home / "results" / "reference", home / "models"
    schema = json.dumps(study_schema(), indent=1, ensure_ascii=False) + "\n"
    references = References(reference, models)
    readme = replace_block(
        (home / "README.md").read_text(encoding="utf-8"), "table", front_table(references)
    )
    pages = results_pages(reference, home / "reports" / "results", models, references)
    return [
        *(Page(f"docs/{page.path}", page.text) for page in pages),
        Page(
            "docs/images/leakage.svg", leakage_figure(Facts(references), "neu-det-controls/neu-det")
        ),
        Page("config/study.schema.json", schema),
        Page("config/README.md", config_page(home / "config").text),
        Page("README.md", readme),
        *(
            Page(path, with_files((home / path).read_text(encoding="utf-8"), home))
            for path in WITH_FILES
        ),
    ]


def fresh_pages(verbs: Sequence[Verb], root: str | Path = ".") -> list[Page]:
    """What is generated for the site alone and not kept: fields of studies, cards of methods and datasets, verbs.

    Args:
        verbs: The verbs.
        root: The checkout.
    """
    home = Path(root)
    shelves = shelves_page(home / "models", home / "datasets")
    pages = [studies_page(home / "config"), shelves, commands_page(verbs)]
    return [Page(f"docs/{page.path}", page.text) for page in pages]


def document(verbs: Sequence[Verb], root: str | Path = ".") -> list[Path]:
    """Generate all pages of a checkout.

    Args:
        verbs: The verbs of the command line.
        root: The checkout.

    Returns:
        The files.

    Raises:
        ReportError: This is no checkout, or a page asks for what no record has.
    """
    if not (Path(root) / "mkdocs.yml").is_file():
        raise ReportError(
            root,
            "mkdocs.yml",
            "nothing",
            "run it in the repository's root, or name that with --root",
        )
    return write_pages([*kept_pages(root), *fresh_pages(verbs, root)], root)


def front_table(references: References) -> str:
    """The table of the README: the light methods on NEU-DET, fewer columns than on their page."""
    (table,) = references.study(README_FOLDER).share(comparisons)
    rows = [
        replace(row, block=RowBlock())
        for row in table.rows
        if (row.values["dataset"], row.values["protocol"]) == README_BLOCK
    ]
    shown = replace(with_columns(table, README_COLUMNS), rows=rows, notes=())
    return markdown_body(shown, Path())
