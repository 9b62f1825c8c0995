"""Results: figures in prose and tables come from records, and the pages that are kept are those that the records give."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from defectbench.base.errors import ReportError
from defectbench.documentation.facts import Facts
from defectbench.documentation.markdown import replace_block, table
from defectbench.documentation.records import kept_groups, title_of
from defectbench.documentation.results import folder_tables, page_template, results_pages
from defectbench.documentation.run import kept_pages

ROOT = Path(__file__).parents[2]
REFERENCE, TEMPLATES = ROOT / "results" / "reference", ROOT / "reports" / "results"
MODELS = ROOT / "models"


@pytest.fixture(scope="module")
def pages():
    return kept_pages(ROOT)


def test_what_is_kept_is_what_the_records_give(pages):
    old = [page.path for page in pages if (ROOT / page.path).read_text() != page.text]
    assert old == [], "run: defectbench document"


def test_no_page_is_left_over_and_each_reference_folder_has_one(pages):
    made = {Path(page.path).stem for page in pages if page.path.startswith("docs/results/")}
    assert {path.stem for path in (ROOT / "docs" / "results").glob("*.md")} == made
    assert made == {"index", *(path.name for path in REFERENCE.iterdir() if path.is_dir())}


def test_generating_twice_gives_the_same_bytes(pages):
    assert kept_pages(ROOT) == pages


# What papers print, a target that is part of a name, a bound of a test, a version, a setting of a simulation.
QUOTED = {"98.3", "0.2", "4.19", "0.10", "0.3", "0.5"}


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.md.j2")), ids=lambda path: path.name)
def test_no_measured_figure_is_typed_into_prose(path):
    prose = re.sub(r"\{[{%].*?[}%]\}", "", path.read_text(), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", prose)) <= QUOTED


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def shelf(tmp_path):
    """Two seeds of a method, one of another, a control, and a table of pairs."""
    group = tmp_path / "set" / "clean"
    for method, seed, score in (
        ("a", 0, 0.5),
        ("a", 1, 0.6),
        ("b", 0, 0.4),
        ("control_oracle", 0, 1.0),
    ):
        ends = {f"map50_{end}": score for end in ("low", "high")}
        ends |= {f"map50_95_{end}": score / 2 for end in ("low", "high")}
        figures = {"map50": score, "map50_95": score / 2, "n_images": 9, "n_groups": 5, **ends}
        hardware = {"cpu": "a processor", "cores": 2}
        write(
            group / method / f"seed{seed}" / "accuracy.json",
            {"figures": figures, "hardware": hardware},
        )
    timing = {"latency_ms_p50": 2.0, "latency_ms_p50_low": 1.9, "latency_ms_p50_high": 2.1}
    timing |= {"valid": False, "invalid_because": ["it was restless"]}
    write(group / "b" / "seed0" / "latency" / "onnxruntime.json", {"figures": timing})
    with (group / "pairs.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["figure", "first", "second", "difference", "low", "high", "verdict"])
        writer.writerow(["map50", "a", "b", 0.15, -0.01, 0.3, "not distinguishable"])
    return tmp_path


def test_seeds_are_joined_and_controls_come_last(shelf):
    (group,) = kept_groups(shelf / "set", MODELS)
    assert [method.name for method in group.methods] == ["a", "b", "control_oracle"]
    score = group.methods[0].score("map50")
    assert (round(score.estimate, 9), score.unit, score.n) == (0.55, "seeds and groups", 2)
    text = folder_tables(shelf / "set", MODELS)
    assert "| a | 55.0 [0.0, 100] | 27.5 [0.0, 59.3] | 2 |" in text
    assert "| b | 40.0 | 20.0 | – | 2.00 [1.90, 2.10] ‡ |" in text
    assert "b: it was restless" in text
    assert "| map50 | `a` | `b` | +15.0 [-1.0, +30.0] | not distinguishable |" in text


def test_facts_are_read_and_a_pair_is_turned_round(shelf):
    facts = Facts(shelf)
    assert facts.pair("set/clean", "a", "b") == "+15.0 [-1.0, +30.0]"
    assert facts.pair("set/clean", "b", "a") == "-15.0 [-30.0, +1.0]"
    assert facts.score("set/clean/control_oracle") == "100"
    assert facts.value("set/clean/b/seed0/accuracy.json", "n_images") == 9
    assert facts.count("set/clean/pairs.csv") == 1
    assert [line["verdict"] for line in facts.rows("set/clean/pairs.csv")] == [
        "not distinguishable"
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{{ score("set/clean/nobody") }}',
        '{{ score("set/clean/a", "map99") }}',
        '{{ value("set/clean/a/seed0/accuracy.json", "nothing.there") }}',
        '{{ pair("set/clean", "a", "nobody") }}',
        '{{ row("set/clean/pairs.csv", first="nobody") }}',
        '{{ count("set/clean/nothing.csv") }}',
    ],
)
def test_prose_that_no_record_backs_is_an_error(shelf, text):
    with pytest.raises(ReportError):
        page_template(text, Facts(shelf)).render()


def test_a_changed_record_changes_its_page(tmp_path):
    shutil.copytree(REFERENCE / "parity", tmp_path / "reference" / "parity")
    templates = tmp_path / "templates"
    templates.mkdir()
    shutil.copy(TEMPLATES / "parity.md.j2", templates)
    (before,) = results_pages(tmp_path / "reference", templates, MODELS)
    path = next((tmp_path / "reference").glob("**/yolov8n/seed0/accuracy.json"))
    record = json.loads(path.read_text())
    record["figures"]["map50"] -= 0.2
    path.write_text(json.dumps(record))
    (after,) = results_pages(tmp_path / "reference", templates, MODELS)
    assert before.text != after.text


def test_kept_tables_say_the_scores_of_the_records_beside_them():
    """Tables of comparisons were written by the report; those of a method with one seed hold its record's score."""
    checked = 0
    for path in [*REFERENCE.glob("**/comparison.csv"), *REFERENCE.glob("**/classification.csv")]:
        for row in csv.DictReader(path.open(newline="")):
            record = path.parent / row["method"] / "seed0" / "accuracy.json"
            if row["n_seeds"] == "1" and record.is_file():
                figures = json.loads(record.read_text())["figures"]
                score = "map50" if "map50" in row else "accuracy"
                assert float(row[score]) == pytest.approx(figures[score], abs=1e-8), record
                checked += 1
    assert checked > 40


def test_titles_come_from_cards():
    assert title_of("yolov4+slim4.19mib", MODELS) == "YOLOv4, slimmed to 4.19 MiB"
    assert title_of("control_class_prior", MODELS) == "class prior"


def test_a_block_without_its_markers_is_an_error():
    with pytest.raises(ReportError, match="table: begin"):
        replace_block("no markers", "table", "text")
    text = "a\n<!-- t: begin -->\nold\n<!-- t: end -->\nb\n"
    assert replace_block(text, "t", "new") == text.replace("old", "new")


def test_a_bar_inside_a_cell_does_not_end_it():
    assert table(["a", "b"], [["x|y", "1"]], "lr") == "| a | b |\n|---|---:|\n| x\\|y | 1 |"
