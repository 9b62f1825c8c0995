"""The claims audit as tables, in the claims of a study, and from the command line."""

import csv

import pytest

from defectbench.base.methods import Golden, MethodCard
from defectbench.base.records import write_record
from defectbench.cli.main import main
from defectbench.measure.claims_audit.audit import audit_folder
from defectbench.report.claims_audit import audit_shares, audit_table, card_claims, read_table
from defectbench.report.records.study import StudyRecords
from defectbench.report.topics import claims as claims_topic

PAPER = """
paper: Paper
place: table 1
citation: A. Author, 2026
read: abstract alone
data_set: steel
rows:
  - {method: Tiny, network: tiny, size: 192, operations_g: "0.010", params_m: "0.62"}
  - {method: Tiny, network: tiny, size: 320, operations_g: "0.278"}
  - {method: Other, size: 192, params_m: "0.50", map50: "80.0"}
"""


@pytest.fixture
def models(tmp_path):
    """A method whose card claims a figure that its paper's own table contradicts, and one that it does not."""
    claims = [
        {"dataset": "steel", "metric": metric, "value": value, "source": "table 1", "size": 192}
        for metric, value in (("macs_g", 0.01), ("params_m", 0.62))
    ]
    card = MethodCard(
        name="tiny",
        title="Tiny",
        family="engine",
        paper="A. Author, 2026",
        licence="Apache-2.0",
        golden=Golden(params=624_656, macs_m={192: 100.0}),
        claims=claims,
    )
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(card.model_dump_json())
    (folder.parent / "printed_tables").mkdir()
    (folder.parent / "printed_tables" / "paper.yaml").write_text(PAPER)
    cell = tmp_path / "runs" / "steel" / "clean" / "tiny" / "seed0"
    write_record(cell / "complexity.json", "complexity", {"macs_g": 0.1, "size_px": 192}, {})
    return folder.parent


def test_a_claim_of_a_study_is_inconsistent_where_the_audit_disproves_it(models):
    study = StudyRecords([], [models.parent / "runs"], models)
    (table,) = claims_topic.parts(study)
    found = {row.values["metric"]: row.values for row in table.rows}
    assert found["macs_g"]["verdict"] == "inconsistent"
    assert found["macs_g"]["reason"].startswith("0.278 / 0.010 = 27.8, pixels (320 / 192)² = 2.78")
    assert found["macs_g"]["ours"] == 0.1
    assert found["params_m"]["verdict"] == "reproduced"
    (models / "printed_tables" / "paper.yaml").unlink()
    (table,) = claims_topic.parts(study)
    assert {row.values["verdict"] for row in table.rows} == {"not reproduced", "reproduced"}


def test_a_claim_that_a_network_was_rebuilt_from_says_so(models):
    path = models / "printed_tables" / "paper.yaml"
    path.write_text(PAPER.replace("network: tiny", "network: tiny, rebuilt_from_it: true"))
    findings = card_claims(models, [], audit_folder(models))
    (params,) = (f for f in findings if f.metric == "params_m")
    assert params.verdict == "reproduced"
    assert params.reason.startswith("our network was rebuilt from this figure")


def test_the_three_shares_hold_every_outcome_once(models):
    outcomes = audit_folder(models)
    shares = audit_shares(outcomes)
    assert sum(len(table.rows) for table in shares.values()) == len(outcomes)
    assert {row.values["verdict"] for row in shares["wrong"].rows} == {
        "inconsistent",
        "not reproduced",
    }
    assert {row.values["about"] for row in shares["open"].rows} == {"Other"}
    assert [row.values["read"] for row in read_table(outcomes).rows] == ["abstract alone"]
    assert audit_table([]).rows == []


def test_the_verb_prints_and_writes_both_tables(models, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["audit-claims", str(models.parent / "runs"), "--models", str(models)]
    assert main([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "inconsistent" in printed
    assert "decimal slip" in " ".join(printed.split())
    rows = list(csv.DictReader((out / "claims_audit.csv").open(newline="")))
    assert rows[0]["verdict"] == "inconsistent"
    assert rows[0]["arithmetic"].startswith("0.278 / 0.010")
    claims = list(csv.DictReader((out / "claims.csv").open(newline="")))
    assert {row["verdict"] for row in claims} == {"inconsistent", "reproduced"}
    assert (out / "claims_audit.md").read_text().startswith("# Claims audit")


def test_a_slip_of_typing_ends_with_a_named_error(models, tmp_path, capsys):
    path = models / "printed_tables" / "paper.yaml"
    path.write_text(PAPER.replace('"80.0"', "80.0"))
    command = ["audit-claims", "--models", str(models), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "rows.2.map50" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
