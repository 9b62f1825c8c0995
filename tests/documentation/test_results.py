"""Results: figures in prose and tables come from records, and the pages that are kept are those that the records give."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from shelf import Shelf

from defectbench.base.errors import ReportError
from defectbench.base.records import read_record, write_record
from defectbench.documentation.facts import Facts
from defectbench.documentation.markdown import replace_block, table
from defectbench.documentation.page_tables.curves import NOT_SHARED, curves_table, shared_epochs
from defectbench.documentation.page_tables.spread import processors_table
from defectbench.documentation.reference import References
from defectbench.documentation.results import folder_tables, page_template, results_pages
from defectbench.documentation.run import kept_pages
from defectbench.documentation.unfinished import missing_text
from defectbench.report.reference import keep_reference

ROOT = Path(__file__).parents[2]
REFERENCE, TEMPLATES = ROOT / "results" / "reference", ROOT / "reports" / "results"
MODELS = ROOT / "models"


@pytest.fixture(scope="module")
def pages():
    return kept_pages(ROOT)


def test_what_is_kept_is_what_the_records_give(pages):
    """To the byte, so that generating twice, there and here, gives the same."""
    old = [page.path for page in pages if (ROOT / page.path).read_text() != page.text]
    assert old == [], "run: defectbench document"


def test_no_page_is_left_over_and_each_reference_folder_has_one(pages):
    made = {Path(page.path).stem for page in pages if page.path.startswith("docs/results/")}
    assert {path.stem for path in (ROOT / "docs" / "results").glob("*.md")} == made
    # a study that is pinned and has no cell yet has nothing to show
    files = (path for path in REFERENCE.glob("*/**/*") if path.is_file())
    kept = {path.relative_to(REFERENCE).parts[0] for path in files if path.name != "pinned.txt"}
    assert made == {"index", "claims", *kept}


def test_a_template_waits_for_its_records(tmp_path):
    (tmp_path / "templates").mkdir()
    for name in ("index", "quiet"):
        (tmp_path / "templates" / f"{name}.md.j2").write_text(f"# {name}\n")
    kept = tmp_path / "reference"

    def stems():
        return [Path(page.path).stem for page in results_pages(kept, tmp_path / "templates")]

    assert stems() == ["index"]
    (kept / "quiet").mkdir(parents=True)
    (kept / "quiet" / "pinned.txt").write_text("a study that has just begun")
    assert stems() == ["index"]
    (kept / "quiet" / "table.csv").touch()
    assert stems() == ["index", "quiet"]


# What papers print, a target that is part of a name, a bound of a test, a version, a setting of a simulation.
QUOTED = {"98.3", "0.2", "4.19", "0.10", "0.3", "0.5"}


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.md.j2")), ids=lambda path: path.name)
def test_no_measured_figure_is_typed_into_prose(path):
    prose = re.sub(r"\{[{%].*?[}%]\}", "", path.read_text(), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", prose)) <= QUOTED


@pytest.fixture
def facts(tmp_path):
    """Two seeds of a method, one of another, a control, and a table of pairs, kept as a folder of reference."""
    shelf = Shelf(tmp_path)
    shelf.split("clean")
    for seed, score in enumerate((0.5, 0.6)):
        shelf.method("a", seed=seed, map50=score)
    shelf.method("b", map50=0.4, p50=2.0, invalid_because=["it was restless"])
    shelf.control("oracle", 1.0)
    reference = tmp_path / "reference"
    keep_reference([shelf.runs], reference / "set")
    with (reference / "set" / "steel" / "clean" / "pairs.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        names = "dataset protocol figure first second difference low high n_groups test verdict"
        values = ["run", "clean", "map50", "a", "b", "0.15", "-0.01", "0.3", "4", "paired"]
        writer.writerows([names.split(), [*values, "not distinguishable"]])
    return Facts(References(reference, MODELS))


def test_a_folder_is_shown_as_the_report_shows_it(facts):
    text = folder_tables(facts.references.study("set"))
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")][:4] == [
        *("| method", "| a", "| b", "| *Oracle*"),
    ]
    assert "| a | 64 | 30 | 55.0 [0.0, 100.0] | 27.5 [0.0, 59.3] | 2 × 6 |" in text
    assert "| b | 64 | 30 | 40.0 [35.0, 45.0] | 20.0 [15.0, 25.0] | 1 × 6 |" in text
    assert "2.00‡ [1.90, 2.10]" in text
    assert "b (clean): it was restless" in text
    assert "| mAP50 | a | b | +15.0 [-1.0, +30.0] | 4 | not distinguishable |" in text
    assert "- Decided by paired." in text
    assert "p99" not in text, "a page has no room for it"


def test_second_figures_of_a_race_stand_on_the_page(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.split("clean")
    folder = shelf.method("a")
    timed = read_record(folder / "latency" / "onnxruntime.json", "latency")["figures"]
    again = timed | {"threads": 2, "latency_ms_p50": 2.5, "fps": 400.0}
    path = folder / "latency" / "threads2" / "onnxruntime.json"
    write_record(path, "latency", again, {"model": folder / "model.onnx"})
    keep_reference([shelf.runs], tmp_path / "reference" / "set")
    facts = Facts(References(tmp_path / "reference", MODELS))
    text = folder_tables(facts.references.study("set"))
    assert "## Threads and images a call" in text
    assert "| a | onnxruntime | fp32 | 2 | 2.50" in text
    assert "## Engines and precisions" not in text  # one engine in one precision


def test_facts_are_read_and_a_pair_is_turned_round(facts):
    group = "set/steel/clean"
    assert facts.pair(group, "a", "b") == "+15.0 [-1.0, +30.0]"
    assert facts.pair(group, "b", "a") == "-15.0 [-30.0, +1.0]"
    assert facts.score(f"{group}/control_oracle") == "100.0 [95.0, 105.0]"
    assert facts.score(f"{group}/b", "map50_95") == "20.0 [15.0, 25.0]"
    assert facts.value(f"{group}/b/seed0/accuracy.json", "n_images") == 6
    assert facts.count(f"{group}/pairs.csv") == 1
    assert [line["verdict"] for line in facts.rows(f"{group}/pairs.csv")] == ["not distinguishable"]


@pytest.mark.parametrize(
    "text",
    [
        '{{ score("set/steel/clean/nobody") }}',
        '{{ score("set/steel/clean/a", "map99") }}',
        '{{ value("set/steel/clean/a/seed0/accuracy.json", "nothing.there") }}',
        '{{ pair("set/steel/clean", "a", "nobody") }}',
        '{{ stage("set/steel/clean", "a", "recovered") }}',
        '{{ count("set/steel/clean/nothing.csv") }}',
    ],
)
def test_prose_that_no_record_backs_is_an_error(facts, text):
    with pytest.raises(ReportError):
        page_template(text, facts).render()


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


def curve_of(facts, name, seed, scores):
    """Keep the history of a run: scores on validation by epoch."""
    (entry,) = [e for e in facts.references.study("set").entries if e.first.method == name]
    lines = [f"{epoch},{'' if score is None else score}" for epoch, score in scores.items()]
    path = entry.cells[seed].folder / "history.csv"
    path.write_text("\n".join(["epoch,val_map50_95", *lines, ""]))


def test_scores_on_validation_stand_by_epoch_as_means_over_seeds(facts):
    curve_of(facts, "a", 0, {1: None, 10: 0.1, 20: 0.2})
    curve_of(facts, "a", 1, {1: None, 10: 0.2, 20: 0.4})
    curve_of(facts, "b", 0, {1: 0.0, 10: 0.3, 20: 0.25})
    table = curves_table(facts, "set")
    assert [column.key for column in table.columns] == ["protocol", "method", "10", "20", "gain"]
    assert [row.values["method"] for row in table.rows] == ["a", "b"]
    figures = [[row.values[key] for key in ("10", "20", "gain")] for row in table.rows]
    assert figures[0] == pytest.approx([0.15, 0.3, 0.15])
    assert figures[1] == pytest.approx([0.3, 0.25, -0.05])


def test_what_was_validated_once_or_never_has_no_curve(facts):
    curve_of(facts, "a", 0, {10: 0.1})
    curve_of(facts, "b", 0, {1: 0.9})
    assert curves_table(facts, "set").rows == []  # a second seed of the first lacks its history
    curve_of(facts, "a", 1, {10: 0.2})
    (row,) = curves_table(facts, "set").rows
    assert (row.values["method"], row.values["10"]) == ("a", pytest.approx(0.15))


def test_methods_that_share_no_epoch_are_not_compared(facts):
    for seed in (0, 1):
        curve_of(facts, "a", seed, {7: 0.1})
    curve_of(facts, "b", 0, {10: 0.3})
    table = curves_table(facts, "set")
    assert (table.rows, table.empty) == ([], NOT_SHARED)


def test_each_task_has_its_own_score_on_validation(facts):
    curve_of(facts, "b", 0, {2: 0.3, 4: 0.25})
    for seed in (0, 1):
        (entry,) = [e for e in facts.references.study("set").entries if e.first.method == "a"]
        cell = entry.cells[seed]
        cell.accuracy["task"] = "classification"
        (cell.folder / "history.csv").write_text("epoch,val_accuracy\n2,0.5\n4,0.75\n")
    table = curves_table(facts, "set")
    told = [(row.values["figure"], row.values["4"]) for row in table.rows]
    assert told == [("val accuracy", 0.75), ("val mAP50-95", 0.25)]
    assert "figure" in [column.key for column in table.columns]


def test_of_many_epochs_ten_stand_on_the_page_the_last_among_them():
    many = dict.fromkeys(range(1, 101), 0.5)
    assert shared_epochs([many, many | {200: 0.6}]) == list(range(10, 101, 10))
    assert shared_epochs([]) == []


def test_a_page_says_what_its_study_lacks(tmp_path):
    home = tmp_path / "home"
    shutil.copytree(
        ROOT / "models", home / "models", ignore=shutil.ignore_patterns("*.py", "*.smk")
    )
    (home / "datasets").mkdir()
    shutil.copy(ROOT / "datasets" / "demo-steel.yaml", home / "datasets")
    (home / "config").mkdir()
    study = {"study": "mini", "blocks": [{"datasets": ["demo-steel"], "protocols": ["clean"]}]}
    study["blocks"][0] |= {"methods": ["yolox_nano", "lidd_net"], "seeds": [0, 1]}
    study["blocks"][0] |= {"controls": ["oracle"], "budget": {"size": 64, "epochs": 1}}
    (home / "config" / "mini.yaml").write_text(json.dumps(study))
    references = References(tmp_path / "reference", home / "models")
    cells = tmp_path / "reference" / "mini" / "demo-steel" / "clean"
    for cell in ("control_oracle/seed0", "yolox_nano/seed0", "yolox_nano/seed1"):
        (cells / cell).mkdir(parents=True)
        (cells / cell / "accuracy.json").touch()
    text = missing_text(references, "mini")
    assert text.splitlines() == [
        *("2 of 4 cells are not made yet:", ""),
        *("- clean, seed 0: LIDD-Net", "- clean, seed 1: LIDD-Net"),
    ]
    for seed in (0, 1):
        (cells / f"lidd_net/seed{seed}").mkdir(parents=True)
        (cells / f"lidd_net/seed{seed}" / "accuracy.json").touch()
    assert missing_text(references, "mini") == "All 4 cells of the study are in."
    card = home / "datasets" / "demo-steel.yaml"
    source = "source: {kind: archive, place_here: buy it}"
    card.write_text(re.sub(r"(?m)^source:.*(\n .*)*", source, card.read_text()))
    assert missing_text(references, "mini") == "All 4 cells of the study are in.", "nothing is here"
    (home / "config" / "mini.yaml").rename(home / "config" / "renamed.yaml")
    with pytest.raises(ReportError, match="take `missing` out of the page"):
        missing_text(references, "mini")
    with pytest.raises(ReportError, match=r"got 'mini'.*write `study: renamed`"):
        missing_text(references, "renamed")


def test_titles_come_from_cards(pages):
    text = {page.path: page.text for page in pages}
    assert "YOLOv4, slimmed to 4.19 MiB" in text["docs/results/slimming.md"]
    assert "| *Class prior* |" in text["docs/results/neu-det-own-recipes.md"]


def test_documentation_reads_no_record_and_writes_no_number_by_itself():
    """The report does both, for pages too."""
    for path in (ROOT / "src" / "defectbench" / "documentation").glob("*.py"):
        text = path.read_text()
        coordinates = r":\.1f\}" if path.name == "figure.py" else "$^"
        wrong = r"read_json|read_record|csv\.|json\.load|:[,+]?\.\d?[fg]"
        assert not re.search(wrong, re.sub(coordinates, "", text)), path.name


def test_a_block_without_its_markers_is_an_error():
    with pytest.raises(ReportError, match="table: begin"):
        replace_block("no markers", "table", "text")
    text = "a\n<!-- t: begin -->\nold\n<!-- t: end -->\nb\n"
    assert replace_block(text, "t", "new") == text.replace("old", "new")


def test_a_bar_inside_a_cell_does_not_end_it():
    assert table(["a", "b"], [["x|y", "1"]], "lr") == "| a | b |\n|---|---:|\n| x\\|y | 1 |"


def test_the_same_seeds_are_compared_on_two_processors(tmp_path):
    table = tmp_path / "demo-spread" / "spread.csv"
    table.parent.mkdir()
    with table.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["method", "seed", "moved", "processor", "val_score"])
        writer.writerows([["m", seed, 0, "P", score] for seed, score in enumerate((0.2, 0.3, 0.4))])
        writer.writerows([["m", 0, 1, "P", 0.9], ["m", 7, 0, "Q", 0.9], ["lone", 0, 0, "P", 0.5]])
        writer.writerows(
            [["m", seed, 0, "Q", score] for seed, score in enumerate((0.25, 0.3, 0.3))]
        )
    made = processors_table(Facts(References(tmp_path, MODELS)))
    (row,) = made.rows
    assert (row.values["method"], row.values["processor"], row.values["n"]) == ("m", "Q", 3)
    expected = {"mean": 0.3, "other": 0.85 / 3, "sd": 0.1, "change": 0.05, "largest": 0.1}
    assert {key: row.values[key] for key in expected} == pytest.approx(expected)
    # differences .05, 0, -.1: mean -.0167, standard error .0441, t of two degrees of freedom 4.303
    assert row.values["difference"] == pytest.approx(-0.05 / 3)
    assert row.values["difference_low"] == pytest.approx(-0.05 / 3 - 0.1898, abs=2e-4)
