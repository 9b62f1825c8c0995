"""Figures that YAML 1.1 counts by another base are told; JSON is read as JSON, tabs and all."""

from pathlib import Path

import pytest
import yaml

from defectbench.base import yaml_text
from defectbench.base.errors import ConfigError
from defectbench.base.yaml_text import parse_yaml, read_yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("010", "010 is 8 to YAML, which counts it by 8: write"),
        ("-0_17", "-0_17 is -15 to YAML"),
        ("1:30", "1:30 is 90 to YAML, which counts it by 60"),
        ("1:30.5", "1:30.5 is 90.5 to YAML"),
        ("a: [1, {b: 007}]", "007 is 7 to YAML.* line 1, column 12"),
    ],
)
def test_a_figure_by_another_base_is_told(text, told):
    with pytest.raises(ConfigError, match=f"any.yaml: content: .*{told}"):
        parse_yaml(text, "any.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("10", 10),
        ("-7", -7),
        ("0.5", 0.5),
        ("1_000", 1000),
        ("0x10", 16),
        ("'010'", "010"),
        ('"1:30"', "1:30"),
        ("08", "08"),
    ],
)
def test_every_other_figure_and_text_is_what_it_looks_like(text, value):
    assert parse_yaml(text, "any.yaml") == value


def test_json_may_hold_tabs_and_exponents(tmp_path):
    (tmp_path / "s.json").write_text('\n{\n\t"a": [1,\t1e-3],\r\n\t"b": {"c": null}\n}\n')
    assert read_yaml(tmp_path / "s.json", "x") == {"a": [1, 0.001], "b": {"c": None}}


@pytest.mark.parametrize("text", ['{"a": 1,\t"a": 2}', '[{"b": {"a": 1, "a": 2}}]', "{a: 1, a: 2}"])
def test_a_name_that_stands_twice_is_told_in_json_and_in_yaml(text):
    with pytest.raises(ConfigError, match="a stands twice, and one of the two"):
        parse_yaml(text, "any.json")


def test_an_object_without_quotes_is_yaml():
    assert parse_yaml("{a: .5, b: [NaN, x]}", "any.yaml") == {"a": 0.5, "b": ["NaN", "x"]}
    assert parse_yaml("[NaN]", "any.yaml") == ["NaN"]


def test_no_file_of_the_shelves_holds_a_figure_by_another_base():
    files = [
        path
        for shelf in ("config", "datasets", "models", "examples")
        for path in (ROOT / shelf).rglob("*.yaml")
    ]
    assert len(files) > 30
    for path in files:
        read_yaml(path, "x")


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1, c: [.5, ~, yes, 2026-11-30]}\nd: {<<: *x, b: 2}\ne: *x\n",
        "# a comment\n- |\n  two\n  lines\n- >\n  folded\n  text\n- 'it''s'\n- \"\\u00df\"\n",
        "? 1\n: {x: !!str 3}\n",
        '"\\ud800"',
        "&a [*a]",
        "a: 1\nb: 2\na: 3\n",
        "a: b: c",
        "[" * 5000,
        "- " * 3000 + "x",
        "a: 2001-99-99",
        "---\n1\n---\n2\n",
        "a: 010",
        "!!python/object:os.system {}",
    ],
)
def test_libyaml_changes_neither_what_is_read_nor_what_is_told(text, monkeypatch):
    def said():
        try:
            return repr(parse_yaml(text, "any.yaml"))
        except ConfigError as error:
            return str(error)

    fast = said()
    monkeypatch.setattr(yaml_text, "_FAST", None)
    assert said() == fast


@pytest.mark.parametrize("text", ["a:\t1", "{x?: 1}", "a: |#\n  b", "sets:\t[one]", "a: !\n"])
def test_what_libyaml_alone_would_read_is_as_snakemake_takes_it(text):
    def by_library():
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return "refused"

    def ours():
        try:
            return parse_yaml(text, "x.yaml")
        except ConfigError:
            return "refused"

    assert ours() == by_library()
