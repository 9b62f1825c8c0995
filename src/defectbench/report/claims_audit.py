"""The claims audit as tables: what cannot be right, what cannot be compared, and what holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..measure.claims import Finding, check_claims
from ..measure.claims_audit.audit import audit_folder, held_against_audit
from ..measure.claims_audit.outcome import AuditOutcome
from .table import HEADLINE, NAME, Row, Table, word_column
from .topics.claims import claims_table

COLUMNS = (
    word_column("paper", "paper", NAME),
    word_column("place", "printed in", 6),
    word_column("check", "check", 4),
    word_column("about", "of", NAME),
    word_column("figure", "figure", 8),
    word_column("printed", "printed", 7),
    word_column("verdict", "verdict", HEADLINE),
    word_column("arithmetic", "arithmetic", NAME),
)
KEYS = [*(column.key for column in COLUMNS), "read"]
WRONG = ("inconsistent", "not reproduced")
OPEN = ("not comparable",)
HOLDS = ("reproduced", "consistent")


def claims_audit(models_dir: str | Path, run_dirs: Iterable[str | Path]) -> list[Table]:
    """The audit of printed tables, and the claims of all methods' cards.

    Args:
        models_dir: Folder of the methods and of printed tables.
        run_dirs: Folders of cells that claims on cards are held against; may be none.

    Raises:
        ConfigError: A card or a printed table has a field that is wrong.
    """
    outcomes = audit_folder(models_dir)
    findings = card_claims(models_dir, run_dirs, outcomes)
    formats = ("csv", "md", "terminal")
    return [audit_table(outcomes), replace(claims_table(findings), formats=formats)]


def card_claims(
    models_dir: str | Path,
    run_dirs: Iterable[str | Path],
    outcomes: Sequence[AuditOutcome],
) -> list[Finding]:
    """Claims of all methods' cards beside some records, *inconsistent* where the audit disproves them."""
    return held_against_audit(check_claims(models_dir, run_dirs, all_methods=True), outcomes)


def audit_table(outcomes: Sequence[AuditOutcome]) -> Table:
    """All outcomes, what is wrong first."""
    return Table(
        name="claims_audit",
        title="Claims audit",
        columns=COLUMNS,
        rows=[_row(outcome) for outcome in outcomes],
        fields=KEYS,
        lead="What papers print, held against itself and against counts of the same networks.",
        empty="There are no printed tables.",
        formats=("csv", "md", "terminal"),
    )


def audit_shares(outcomes: Sequence[AuditOutcome]) -> dict[str, Table]:
    """The outcomes in three tables: what is ``wrong``, what is ``open``, what ``holds``."""
    shares = {"wrong": WRONG, "open": OPEN, "holds": HOLDS}
    return {
        name: replace(audit_table([o for o in outcomes if o.verdict in verdicts]), empty="None.")
        for name, verdicts in shares.items()
    }


def read_table(outcomes: Sequence[AuditOutcome]) -> Table:
    """What was read of each paper, and what is assumed."""
    read = {(o.paper, o.read) for o in outcomes if o.read}
    columns = (
        word_column("paper", "paper", NAME),
        word_column("read", "what was read, and what is assumed"),
    )
    rows = [Row({"paper": paper, "read": text}) for paper, text in sorted(read)]
    return Table("audit_read", "What was read", columns, rows)


def _row(outcome: AuditOutcome) -> Row:
    return Row({key: getattr(outcome, key) for key in KEYS})
