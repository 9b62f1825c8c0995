"""The list of datasets: what each is, how it is got, whether it is here."""

import json
from pathlib import Path

import pytest
import yaml

from defectbench.base.cards import load_shelf
from defectbench.cli.main import main
from defectbench.data.shelf import shelf_entries, shelf_lines

SHELF = Path(__file__).parents[2] / "datasets"


@pytest.fixture
def results(tmp_path):
    for name, file in (("neu-det", "annotations.json"), ("x-sdd", "source.json")):
        folder = tmp_path / "results" / "data" / name
        folder.mkdir(parents=True)
        (folder / file).write_text("{}")
    return tmp_path / "results"


def test_each_card_says_what_it_is_and_where(results, tmp_path):
    (tmp_path / "tyres").mkdir()
    mirrors = {
        "tire": str(tmp_path / "tyres"),
        "hripcb": str(tmp_path / "gone"),
        "apspc": "https://example.org/a.zip",
    }
    entries = {entry["name"]: entry for entry in shelf_entries(load_shelf(SHELF), mirrors, results)}
    assert set(entries) == {path.stem for path in SHELF.glob("*.yaml")}
    here = {name: entry["here"] for name, entry in entries.items() if entry["here"]}
    assert here == {"neu-det": "converted", "x-sdd": "raw", "tire": "mirror"}
    ways = {name: entry["how"] for name, entry in entries.items()}
    assert ways["demo-steel"] == "made here"
    assert ways["neu-det"] == "fetched"
    assert ways["elpv"] == "a Python package"
    assert ways["tire"] == "a folder of your own"
    assert ways["hripcb"] == "by hand: https://www.kaggle.com/datasets/akhatova/pcb-defects"
    assert entries["aluminium-surface"]["allows"]["commercial"] == "allowed"
    assert entries["aluminium-sheet-400"]["protocols"]["groups"] == "photograph"
    assert entries["apspc"]["unconfirmed"]


def test_columns_stand_below_one_another(results):
    lines = shelf_lines(shelf_entries(load_shelf(SHELF), {}, results))
    assert len(lines) == 1 + len(list(SHELF.glob("*.yaml")))
    start = lines[0].index("how to get it")
    for line in lines[1:]:
        assert line[start - 1] == " "
        assert line[start] != " "
    assert {line.split()[0] for line in lines[1:]} == {path.stem for path in SHELF.glob("*.yaml")}


def test_the_verb_prints_a_table_or_json(results, capsys, tmp_path):
    options = ["--cards", str(SHELF), "--results", str(results)]
    assert main(["datasets", *options]) == 0
    assert "neu-det" in capsys.readouterr().out
    study = tmp_path / "study.yaml"
    blocks = [{"datasets": ["neu-det"]}]
    study.write_text(yaml.safe_dump({"study": "t", "blocks": blocks, "mirrors": {"tire": "/"}}))
    assert main(["datasets", *options, "--json", "--study", str(study)]) == 0
    (tire,) = (entry for entry in json.loads(capsys.readouterr().out) if entry["name"] == "tire")
    assert tire["here"] == "mirror"


def test_a_folder_without_cards_is_told(tmp_path, capsys):
    assert main(["datasets", "--cards", str(tmp_path)]) == 2
    assert "name --cards" in capsys.readouterr().err
