"""Pages of results: prose whose figures are read from reference records, and the report's tables of these records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from ..report.claims_audit import audit_shares, card_claims, read_table
from ..report.numbers import number, percent
from ..report.records.study import StudyRecords
from ..report.table import Table
from ..report.topics.claims import claims_table
from ..report.writers.markdown import markdown_body
from .facts import Facts
from .markdown import NOTICE, Page
from .page_tables import TABLES, controls_table, curves_table
from .reference import (
    References,
    by_block,
    comparisons,
    kept,
    of_engines,
    premiums,
    with_columns,
)
from .unfinished import missing_text

ABOUT_NO_FOLDER = ("index", "claims")  # pages that wait for no folder of records
PINNED = "pinned.txt"
FOLDED = ("pairs", "classification_pairs")  # shown on a click
TOO_NARROW = "paired bootstrap over groups and seeds"  # how pairs of several seeds were decided before version 0.2.0
PREMIUM_COLUMNS = ("protocol", "title", "map50_clean", "map50", "map50_premium")
AUDIT_COLUMNS = ("paper", "place", "about", "figure", "printed", "verdict", "arithmetic")
CLAIM_COLUMNS = ("method", "metric", "claimed", "ours", "n_seeds", "verdict", "reason", "source")
PAIR_COLUMNS = ("figure", "first", "second", "difference", "n_groups", "verdict")


def results_pages(
    reference_dir: str | Path,
    templates_dir: str | Path,
    models_dir: str | Path = "models",
    references: References | None = None,
) -> list[Page]:
    """One page for each template of a folder; a template is named as the reference folder that it is about.

    A template waits for its folder: as long as nothing is kept there but the commit of a study, it has no page.

    Args:
        reference_dir: ``results/reference``.
        templates_dir: Holds ``<folder>.md.j2``.
        models_dir: Where method cards lie, for titles.
        references: The folders as they were read before; read here by default.

    Raises:
        ReportError: A template asks for a figure that no record has.
    """
    facts = Facts(references or References(Path(reference_dir), Path(models_dir)))
    pages = []
    for path in sorted(Path(templates_dir).glob("*.md.j2")):
        name = path.name.removesuffix(".md.j2")
        if name not in ABOUT_NO_FOLDER and not _holds_records(Path(reference_dir) / name):
            continue
        text = page_template(path.read_text(encoding="utf-8"), facts).render(folder=name)
        pages.append(Page(f"results/{name}.md", f"{NOTICE}\n{text.strip()}\n"))
    return pages


def _holds_records(folder: Path) -> bool:
    """Whether anything is kept in a folder; a study that has just begun has named its commit there and made nothing."""
    return any(path.is_file() and path.name != PINNED for path in folder.rglob("*"))


def page_template(text: str, facts: Facts) -> Template:
    """A template that knows the facts, how figures are written, and tables: of a folder, of its controls, by name."""
    environment = Environment(  # noqa: S701 - Markdown for a generator that is run by hand
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"percent": percent, "number": number}
    for name in ("value", "count", "score", "rows", "pair", "stage", "difference_of_seeds"):
        environment.globals[name] = getattr(facts, name)
    environment.globals["tables"] = lambda folder: folder_tables(facts.references.study(folder))
    environment.globals["controls"] = lambda folder: table_text(controls_table(facts, folder))
    environment.globals["curves"] = lambda folder: table_text(curves_table(facts, folder))
    environment.globals["missing"] = lambda folder: missing_text(facts.references, folder)
    environment.globals["claims"] = lambda folder: claims_text(facts.references, folder)
    environment.globals["audit"] = lambda share: table_text(audit_part(facts.references, share))
    environment.globals["premiums"] = lambda folder: premium_text(facts.references.study(folder))
    environment.globals["table"] = lambda name: table_text(TABLES[name](facts))
    return environment.from_string(text)


def audit_part(references: References, share: str) -> Table:
    """A share of the claims audit: what is ``wrong``, ``open`` or ``holds``, or what was ``read`` of papers."""
    if share == "read":
        return read_table(references.audit)
    return with_columns(audit_shares(references.audit)[share], AUDIT_COLUMNS)


def claims_text(references: References, folder: str) -> str:
    """The claims of all methods' cards beside the records of a folder."""
    findings = card_claims(references.models_dir, [references.root / folder], references.audit)
    return table_text(with_columns(claims_table(findings), CLAIM_COLUMNS))


def premium_text(study: StudyRecords) -> str:
    """What each method of a folder gains under protocols that leak."""
    return table_text(with_columns(premiums(study), PREMIUM_COLUMNS))


def table_text(table: Table, level: int = 2) -> str:
    """A table as a part of a page. What lies behind its figures is not linked: it is no part of the site."""
    return markdown_body(table, Path(), level)


def folder_tables(study: StudyRecords) -> str:
    """All tables of a folder of reference: its methods compared, its engines, then what is kept beside them."""
    compared = [part for table in study.share(comparisons) for part in by_block(table)]
    parts = [table_text(table) for table in compared]
    parts += [f"## {t.title}\n\n{table_text(t, level=3)}" for t in of_engines(study)]
    for table in study.share(kept):
        if table.name in FOLDED:
            parts.append(_folded(table))
        else:
            parts.append(f"## {table.title}\n\n{table_text(table, level=3)}")
    return "\n".join(parts)


def _folded(table: Table) -> str:
    """A table that is shown on a click, in GitHub's Markdown and on the site."""
    tests = dict.fromkeys(row.values["test"] for row in table.rows)
    notes = [f"Decided by {test}." for test in tests]
    if any(test.startswith(TOO_NARROW) for test in tests):
        notes.append(
            "Intervals of pairs with several seeds are too narrow here, the more so the more seeds differ "
            "([Coverage of intervals](interval-coverage.md))."
        )
    text = table_text(replace(with_columns(table, PAIR_COLUMNS), notes=notes))
    summary = f"{table.title}: methods compared in pairs"
    return f'<details markdown="1">\n<summary>{summary}</summary>\n\n{text}\n</details>\n'
