"""A made-up paper without a slip: two tables, an abstract and what its text says, over networks that are counted."""

from defectbench.base.printed_tables import PrintedTable
from defectbench.measure.claims_audit.audit import audit_tables
from defectbench.measure.claims_audit.counts import NetworkCounts

COUNTS = {
    "alpha": NetworkCounts(1.0, {"conv": {192: 0.1}, "thop": {192: 0.107}}),
    "beta": NetworkCounts(2.0, {"conv": {640: 4.0}}),
}
SPEED = {
    "fps": "125",
    "ms": "8.0",
    "batch": 1,
    "precision": "fp16",
    "boundary": "end to end",
    "device": "a board",
}


def row(method, network="", **figures):
    return {"method": method, "network": network, **figures}


def clean_paper():
    """Its tables as data, to plant slips in."""
    small = [
        row("Alpha", "alpha", params_m="1.00", operations_g="0.100", map50="70.0"),
        row("Beta", "beta", params_m="2.00", operations_g="0.360", map50="72.5", speeds=[SPEED]),
        row("Ours", params_m="0.80", operations_g="0.090", map50="74.5"),
    ]
    large = [
        row("Alpha", "alpha", operations_g="0.278", map50="80.0"),
        row("Beta", "beta", operations_g="1.000", map50="82.0"),
        row("Ours", operations_g="0.250", map50="83.0"),
    ]
    says = [
        {"figure": "map50", "kind": "difference", "of": "Ours", "against": "Beta", "value": "2.0"},
        {"figure": "params_m", "kind": "percent", "of": "Ours", "against": "Beta", "value": "-60"},
        {
            "figure": "operations_g",
            "kind": "percent",
            "of": "Ours",
            "against": "Beta",
            "value": "-75",
        },
        {"figure": "operations_g", "kind": "beside", "of": "Ours", "against": "Beta"},
    ]
    head = {"paper": "Clean", "citation": "A. Author, 2026", "read": "all of it"}
    return {
        "small": head
        | {"place": "table 1", "data_set": "steel", "size": 192, "rows": small, "statements": says},
        "large": head | {"place": "table 2", "data_set": "cloth", "size": 320, "rows": large},
        "abstract": head
        | {
            "place": "abstract",
            "data_set": "steel",
            "rows": [row("Ours", params_m="0.8", map50="74.5")],
        },
    }


def audit(paper):
    """What the audit says of a paper."""
    return audit_tables([PrintedTable.model_validate(table) for table in paper.values()], COUNTS)


def slips(paper):
    """What cannot be right in it: check, whose figures, arithmetic."""
    return [
        (outcome.check, outcome.about, outcome.arithmetic)
        for outcome in audit(paper)
        if outcome.verdict == "inconsistent"
    ]
