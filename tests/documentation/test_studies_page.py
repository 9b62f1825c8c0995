"""The page of studies and their schema."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from defectbench.base.studies import Study
from defectbench.documentation.studies import (
    config_page,
    purpose,
    studies_page,
    study_files,
    study_schema,
)

ROOT = Path(__file__).parents[2]
STUDIES = study_files(ROOT / "config")


@pytest.fixture(scope="module")
def schema():
    return study_schema()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_study_keeps_the_schema_and_names_it(path, schema):
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    assert path.read_text().startswith("# yaml-language-server: $schema=study.schema.json\n")


def test_the_schema_refuses_what_the_model_refuses(schema):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    for change in ({"blocks": []}, {"seed": 3}, {"latency": {"processes": 1}}):
        wrong = {**copy.deepcopy(study), **change}
        with pytest.raises(ValueError, match=next(iter(change))):
            Study.model_validate(wrong)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_schema_says_what_each_field_means(schema):
    assert schema["properties"]["split_seed"]["description"]
    for block in schema["$defs"].values():
        assert [
            name for name, entry in block["properties"].items() if not entry["description"]
        ] == []
    assert json.loads((ROOT / "config" / "study.schema.json").read_text()) == schema


def test_the_page_names_every_study_and_every_field():
    text = studies_page(ROOT / "config").text
    assert not [path for path in STUDIES if f"`config/{path.name}`" not in text]
    for name in (
        "split_seed",
        "train_list",
        "drop_units",
        "fine_tuning",
        "flip_lr",
        "unpacked_mib",
    ):
        assert f"| `{name}` |" in text


def test_the_page_has_the_settings_of_every_verb_that_takes_them():
    sources = [path.read_text() for path in (ROOT / "src" / "defectbench" / "cli").glob("*.py")]
    told = {name for text in sources for name in re.findall(r"parse_settings\((\w+),", text)}
    assert {"TrainingSettings", "ChannelPruning", "FineTuning", "LatencySettings"} <= told
    text = studies_page(ROOT / "config").text
    assert [name for name in sorted(told) if f"### {name}\n" not in text] == []


def test_a_study_is_told_by_its_first_sentence(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "# yaml-language-server: $schema=x\n# One\n# two. Three.\n\n# Four.\nstudy: s\n"
    )
    assert purpose(path) == "One two."
    path.write_text("# What is it? This. More.\nstudy: s\n")
    assert purpose(path) == "What is it? This."
    path.write_text("# As Chen et al. (2024) print. More.\nstudy: s\n")
    assert purpose(path) == "As Chen et al. (2024) print."
    path.write_text("study: s\n")
    assert purpose(path) == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")
def test_a_study_of_ones_own_stands_on_no_page_until_it_is_under_version_control(tmp_path):
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    assert len(study_files(config)) == len(list(config.glob("*.yaml"))), "no repository: all"
    kept = config_page(config)
    for command in (["init", "--quiet"], ["add", "config"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    mine = (config / "demo.yaml").read_text().replace("study: demo", "study: mine")
    (config / "mine.yaml").write_text(mine)
    assert config_page(config) == kept
    assert "config/mine.yaml" not in studies_page(config).text
    subprocess.run(["git", "add", "config/mine.yaml"], cwd=tmp_path, check=True)
    assert "config/mine.yaml" in config_page(config).text
