"""Claims: numbers printed in papers beside ours, never mixed with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields

from ...measure.claims import Finding, check_claims
from ...measure.claims_audit.audit import audit_folder, held_against_audit
from ..numbers import number
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Row, Table, word_column
from .compression import stages_of
from .compression.claims import check_compression_claims

ORDER = 60
DECIMALS = 6
COLUMNS = (
    word_column("method", "method", NAME),
    word_column("dataset", "dataset", 5),
    word_column("protocol", "protocol", 6),
    word_column("metric", "figure", HEADLINE),
    Column("claimed", "printed", write=number, priority=HEADLINE),
    Column("ours", "ours", write=number, priority=HEADLINE),
    Column("n_seeds", "seeds", priority=7),
    word_column("verdict", "verdict", 2),
    word_column("source", "printed in", 8),
    word_column("reason", "why", 9),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """Every claim of the cards of the methods that the study holds; what the audit disproves is *inconsistent*."""
    compressed = check_compression_claims(study.models_dir, stages_of(study))
    findings = [*check_claims(study.models_dir, study.run_dirs), *compressed]
    yield claims_table(
        held_against_audit(findings, audit_folder(study.models_dir)) if findings else findings
    )


def claims_table(findings: Sequence[Finding]) -> Table:
    """Findings as a table."""
    return Table(
        name="claims",
        title="Claims of papers",
        columns=COLUMNS,
        rows=[_row(finding) for finding in findings],
        fields=[entry.name for entry in fields(Finding)],
        lead="Numbers printed in papers, each beside ours where the records are comparable.",
        empty="No paper behind these methods prints a number that is recorded.",
        formats=("csv", "page"),
    )


def _row(finding: Finding) -> Row:
    """A finding, its figures rounded as far as papers print them."""
    values = asdict(finding)
    rounded = {k: round(v, DECIMALS) if isinstance(v, float) else v for k, v in values.items()}
    ends = {"ours_low": finding.low, "ours_high": finding.high}
    return Row(rounded | ends)
