"""A rule file that was copied and not changed is told as such."""

import re
from pathlib import Path

import pytest

from defectbench.base.catalogue import load_catalogue
from defectbench.base.errors import ConfigError
from defectbench.base.method_rules import check_method_rules, check_start_rules

MODELS = Path(__file__).parents[2] / "models"
RULE = 'use rule train_network as {rule} with:\n    wildcard_constraints:\n        method="{method}",\n'


def write(models, name, text):
    (models / name).mkdir()
    (models / name / "method.smk").write_text(text)


def test_the_methods_of_the_suite_pass():
    check_method_rules(load_catalogue(MODELS).names, MODELS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RULE.format(rule="train_yolo", method="yolo"),
            'line 3: got \'method="yolo",\'; write method="mine", the name of the folder',
        ),
        (
            RULE.format(rule="train_yolo", method="mine"),
            "rule: got 'train_yolo'; {models}/yolo/method.smk has a rule of that name; write train_mine",
        ),
        (
            "use rule train_network as train_mine with:\n    priority: 20\n",
            "wildcard_constraints: got 'no method'; add the lines",
        ),
    ],
)
@pytest.mark.parametrize("name", ["mine"])
def test_the_line_that_was_not_changed_is_named(tmp_path, name, text, message):
    write(tmp_path, "yolo", RULE.format(rule="train_yolo", method="yolo"))
    write(tmp_path, name, text)
    expected = f"{tmp_path}/{name}/method.smk: {message.format(models=tmp_path)}"
    for names in ([name, "yolo"], ["yolo", name]):
        with pytest.raises(ConfigError, match=re.escape(expected)):
            check_method_rules(names, tmp_path)


def test_a_method_without_a_rule_is_named(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match=r"mine/method\.smk: file: got 'nothing'; write a rule"):
        check_method_rules(["mine"], tmp_path)


def test_a_rule_for_several_methods_and_one_that_writes_paths_pass(tmp_path):
    write(tmp_path, "mine", RULE.format(rule="train_both", method="mine|yours"))
    write(
        tmp_path, "own", 'rule predict:\n    output: f"{RUNS}/steel/clean/own/seed0/model.onnx"\n'
    )
    check_method_rules(["mine", "own"], tmp_path)


@pytest.mark.parametrize("constraint", [r"mine(\+from_coco\w*)?", "mine"])
def test_a_start_that_no_rule_makes_is_named_with_card_and_block(tmp_path, constraint):
    write(tmp_path, "mine", RULE.format(rule="train_mine", method=constraint))
    rows = {"mine": ["mine+from_tiles_3epochs"]}
    said = (
        f"{tmp_path}/mine/card.yaml: weights: got 'tiles'; {tmp_path}/mine/method.smk makes {constraint} alone, not "
        r'mine+from_tiles_3epochs: write method=r"mine(\+from_\w+)?" there'
    )
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_start_rules(rows, tmp_path)
    whole = RULE.format(rule="train_mine", method=r"mine(\+from_\w+)?").replace('="', '=r"')
    (tmp_path / "mine" / "method.smk").write_text(whole)
    check_start_rules(rows, tmp_path)


def test_the_programs_of_the_suite_start_from_weights_of_any_name():
    programs = load_catalogue(MODELS).started_by_program
    assert programs
    check_start_rules({n: [f"{n}+from_tiles", f"{n}+from_coco_2epochs"] for n in programs}, MODELS)


def test_a_rule_file_in_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "method.smk").write_bytes(b"rule train_alpha:\n    # L\xfccke\n")
    with pytest.raises(ConfigError, match=r"method.smk: line 2: .*save the file as UTF-8"):
        check_method_rules(["alpha"], tmp_path)
