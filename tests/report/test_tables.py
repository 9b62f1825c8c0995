"""CSV and Markdown of the comparison."""

import csv
import json
import re
from dataclasses import asdict

import pytest
from report_parts import make_tables, tabulate

from defectbench.base.errors import ReportError
from defectbench.base.records import read_record
from defectbench.report.numbers import number, percent
from defectbench.report.records.costs import TILED
from defectbench.report.table import Column, Row, Table, word_column
from defectbench.report.writers.csv import csv_text


def lines(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_one_csv_line_a_dataset_protocol_and_method(filled):
    tabulate([filled.runs], filled.out)
    found = lines(filled.out / "comparison.csv")
    assert [(line["protocol"], line["method"]) for line in found] == [
        ("clean", "alpha"),
        ("clean", "beta_net"),
        ("clean", "control_memoriser"),
        ("clean", "control_oracle"),
        ("paper", "beta_net"),
    ]
    beta = found[1]
    assert (beta["map50"], beta["map50_low"], beta["map50_high"], beta["n_seeds"]) == (
        "0.5",
        "0.45",
        "0.55",
        "1",
    )
    assert (beta["fps"], beta["latency_valid"], beta["latency_invalid_because"]) == (
        "125.0",
        "False",
        "drift",
    )
    assert found[2]["params_m"] == found[2]["latency_valid"] == ""
    assert found[4]["leak_share"] == "0.9"


def test_csv_keeps_what_the_rows_say(filled):
    tables = tabulate([filled.runs], filled.out)
    for read, made in zip(lines(filled.out / "comparison.csv"), tables.rows, strict=True):
        assert set(read) == set(asdict(made)) - set(TILED)
        assert not any(getattr(made, name) for name in TILED)  # no image here is cut into tiles
        for name, value in ((n, v) for n, v in asdict(made).items() if n in read):
            if isinstance(value, float):
                assert float(read[name]) == pytest.approx(value, rel=1e-8), name
            else:
                assert read[name] == ("" if value is None else str(value)), name


def test_a_csv_without_rows_has_its_head_and_no_line():
    columns = (word_column("method", "method"), Column("map50", "mAP50", "%"))
    empty = Table("t", "T", columns, rows=[])
    assert csv_text(empty) == "method,map50\n"
    assert csv_text(Table("t", "T", columns, [], fields=("map50", "n"))) == "map50,n\n"
    row = Row({"method": 'a, "b"', "map50": None, "more": 1})
    assert csv_text(Table("t", "T", columns, [row])) == 'method,map50\n"a, ""b""",\n'


def test_equal_records_give_equal_bytes(filled):
    tabulate([filled.runs], filled.out)
    before = {path.name: path.read_bytes() for path in filled.out.iterdir()}
    tabulate([filled.runs], filled.out)
    assert {path.name: path.read_bytes() for path in filled.out.iterdir()} == before
    assert set(before) >= {
        "comparison.csv",
        "comparison.md",
        "comparison.tex",
        "leakage.csv",
        "leakage.md",
        "pairs.csv",
        "per_class.csv",
        "claims.csv",
        "tables.json",
    }


def test_a_missing_record_leaves_no_table(filled):
    (filled.folder("beta_net") / "train.json").unlink()
    with pytest.raises(ReportError):
        tabulate([filled.runs], filled.out)
    assert not filled.out.exists()


def test_scores_by_class(filled):
    tabulate([filled.runs], filled.out)
    found = {
        (r["protocol"], r["method"], r["class_name"]): r
        for r in lines(filled.out / "per_class.csv")
    }
    alpha = found["clean", "alpha", "scratches"]
    assert float(alpha["ap50"]) == pytest.approx(0.65)
    assert float(alpha["ap50_95"]) == pytest.approx(0.325)
    assert alpha["n_boxes"] == "5"
    assert len(found) == 5 * 2


def test_a_class_without_true_boxes_is_empty(shelf):
    folder = shelf.method("alpha")
    shelf.change(
        folder / "accuracy.json", per_class={"dent": {"ap50": None, "ap50_95": None, "n_boxes": 0}}
    )
    tabulate([shelf.runs], shelf.out)
    (line,) = lines(shelf.out / "per_class.csv")
    assert (line["ap50"], line["ap50_95"], line["n_boxes"]) == ("", "", "0")


def test_markdown_marks_best_invalid_and_leaked(filled):
    tabulate([filled.runs], filled.out)
    text = (filled.out / "comparison.md").read_text()
    alpha, beta = (
        next(s for s in text.split("\n") if s.startswith(f"| {m}")) for m in ("alpha", "beta_net")
    )
    assert "**65.0** [1.5, 100.0]" in alpha
    assert "| 2 × 6 | **0.500** | 0.100 |" in alpha
    assert "| 8.00‡ [7.90, 8.10] | 9.00‡ | 10.0‡ | 125‡ | 100 |" in beta
    assert "## steel, paper†" in text
    assert "90 % of 6 test images" in text
    assert "| *Memoriser* | – | – |" in text


def test_every_markdown_row_has_as_many_cells_as_the_head(filled):
    tabulate([filled.runs], filled.out)
    rows = [s for s in (filled.out / "comparison.md").read_text().split("\n") if s.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_markdown_links_lead_to_records(filled):
    tabulate([filled.runs], filled.out)
    targets = re.findall(r"\]\(([^)]+)\)", (filled.out / "comparison.md").read_text())
    assert len(targets) == 4 * 6 + 2 * 2
    assert all((filled.out / target).is_file() for target in targets)


def test_the_caption_says_hardware_epochs_threads_and_marks(filled):
    said = " ".join(make_tables([filled.runs]).notes)
    for words in (
        "onnxruntime, 1 thread, ",
        "Training: 30 epochs, ",
        "2 threads",
        "† leaked protocol",
        "‡ invalid timing, not to be cited: beta_net (clean): drift",
        "over seeds and the groups of the test part (Student) or, where there is one seed, the groups of the test part, "
        "given this trained network.",
        "BCa bootstrap over groups given these trained networks, 1,000 resamples; p values against the leader corrected",
        "Under 30 groups an interval may hold the truth less often than it says: steel, clean (4); steel, paper (4).",
    ):
        assert words in said


def test_the_caption_names_the_device_that_trained(shelf):
    shelf.method("alpha")
    path = shelf.folder("alpha") / "train.json"
    record = read_record(path, "train")
    cpu = record["hardware"]["cpu"]
    for device, said in (
        ("Big GPU", f"epochs, Big GPU and {cpu} with"),
        (cpu, f"epochs, {cpu} with"),
    ):
        path.write_text(json.dumps(record | {"device": device}))
        assert said in " ".join(make_tables([shelf.runs]).notes)


def test_a_method_without_a_model_file_has_a_row_and_says_so(filled):
    filled.foreign("gamma", map50=0.55)
    made = make_tables([filled.runs])
    (row,) = [row for row in made.rows if row.method == "gamma"]
    assert (row.params_m, row.macs_g, row.gflops, row.size_mib) == (None, None, None, None)
    assert (row.map50, row.latency_ms_p50, row.size_px, row.epochs) == (0.55, 9.0, 64, 30)
    assert row.engine == "own"
    said = " ".join(made.notes)
    assert "gamma: its framework writes no file in the suite's signature" in said
    assert "a runner of the method's own, 1 thread" in said
    # the others are still told apart by their counts
    assert "params_m" in next(row for row in made.rows if row.method == "alpha").best


def test_the_caption_is_silent_on_what_is_not_there(shelf):
    shelf.method("alpha")
    said = " ".join(make_tables([shelf.runs]).notes)
    assert not any(mark in said for mark in ("†", "‡", "Bold", "controls"))


def test_numbers():
    assert [number(v) for v in (None, 0.0, 0.1025, 1.0, 9.994, 12.34, 123.4, 1234.5)] == [
        "–",
        "0.000",
        "0.102",
        "1.00",
        "9.99",
        "12.3",
        "123",
        "1,234",
    ]
    assert [percent(v) for v in (None, 0.0, 0.4567, 1.0)] == ["–", "0.0", "45.7", "100.0"]
