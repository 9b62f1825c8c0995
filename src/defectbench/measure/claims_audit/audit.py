"""All checks over all printed tables, and what they say of the claims on methods' cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...base.printed_tables import Figure, PrintedTable, read_printed_tables
from ..claims import Finding
from .counts import NetworkCounts, known_counts
from .outcome import REBUILT, AuditOutcome, PrintedFigure
from .parameters import check_parameters
from .repeated import check_repeated
from .scaling import check_scaling
from .scores import check_baselines, check_scores
from .speeds import check_speeds
from .statements import check_statements
from .units import check_units

CHECKS = (
    check_scaling,
    check_units,
    check_parameters,
    check_statements,
    check_repeated,
    check_speeds,
    check_scores,
)
# Figures of printed tables by the metrics of claims, and what a claim is multiplied with: scores there are fractions.
PRINTED_AS: Mapping[str, tuple[Figure, int]] = {
    "params_m": ("params_m", 1),
    "macs_g": ("operations_g", 1),
    "gflops": ("operations_g", 1),
    "map50": ("map50", 100),
    "map50_95": ("map50_95", 100),
}
ORDER = (
    "inconsistent",
    "not reproduced",
    "not comparable",
    "within interval",
    "reproduced",
    "consistent",
)


def audit_folder(models_dir: str | Path) -> list[AuditOutcome]:
    """Audit the printed tables beside the methods; nothing where there are none.

    Raises:
        ConfigError: A table has a field that is wrong.
    """
    tables = read_printed_tables(models_dir)
    return audit_tables(tables, known_counts(models_dir, tables)) if tables else []


def audit_tables(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Run every check over the tables of each paper, and one over all papers; what is wrong stands first.

    Args:
        tables: Tables of any papers.
        counts: Of networks, known without the papers.
    """
    papers: dict[str, list[PrintedTable]] = {}
    for table in tables:
        papers.setdefault(table.paper, []).append(table)
    outcomes = [
        out for group in papers.values() for check in CHECKS for out in check(group, counts)
    ]
    outcomes += check_baselines(tables)
    return sorted(outcomes, key=lambda outcome: ORDER.index(outcome.verdict))


def held_against_audit(
    findings: Sequence[Finding], outcomes: Sequence[AuditOutcome]
) -> list[Finding]:
    """Claims on methods' cards, *inconsistent* where the audit found that the printed figure cannot be right.

    A claim that our network was rebuilt from keeps its verdict, and says so.

    Args:
        findings: Claims beside our records.
        outcomes: What the audit found.
    """
    wrong = {each: out.arithmetic for out in outcomes for each in out.wrong}
    sources = {each: REBUILT for out in outcomes for each in out.sources}
    return [_held(finding, wrong, sources) for finding in findings]


def _held(
    finding: Finding, wrong: Mapping[PrintedFigure, str], sources: Mapping[PrintedFigure, str]
) -> Finding:
    figure, scale = PRINTED_AS.get(finding.metric, (None, 1))
    if figure is None:
        return finding
    printed = PrintedFigure(finding.method, figure, round(finding.claimed * scale, 9))
    reason = "; ".join(filter(None, (wrong.get(printed), sources.get(printed), finding.reason)))
    verdict = "inconsistent" if printed in wrong else finding.verdict
    return replace(finding, verdict=verdict, reason=reason)
