"""Files that hosts and editors read: they parse, and name what is there."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted(
    path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_each_form_has_what_its_host_asks_for(path):
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_each_thing_that_is_welcome():
    assert [path.stem for path in FORMS] == ["bug", "new_dataset", "new_method"]


def test_files_that_forms_and_pages_name_are_there():
    pages = [
        *FORMS,
        ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
    ]
    for path in pages:
        named = re.findall(
            r"\b(?:docs|tests|examples|reports|benchmarks|workflow|models)/[\w./-]*\w",
            path.read_text(),
        )
        assert not [name for name in named if not (ROOT / name).exists()], path


def test_hooks_are_the_projects_own():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["entry"].split()[0] for hook in repository["hooks"]} == {
        ".venv/bin/ruff",
        ".venv/bin/snakefmt",
    }
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_one_version_stands_everywhere():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(head for head in heads if head != "Unreleased") == VERSION


def test_the_catalogue_finds_how_it_is_used():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
