"""Settings from a command line: objects, files and single fields, each checked by the class of the step."""

import json

import pytest

from defectbench.base.commandline import parse_settings
from defectbench.base.errors import ConfigError
from defectbench.base.settings import TrainingSettings
from defectbench.base.steps import ChannelPruning


def test_without_anything_settings_are_the_defaults():
    assert parse_settings(TrainingSettings) == TrainingSettings()


@pytest.mark.parametrize("name", ["told.json", "told.yaml", "with blank.yml"])
def test_an_object_and_a_file_say_the_same(tmp_path, name):
    content = {"epochs": 3, "recipe": {"optimizer.lr": 0.002}}
    text = json.dumps(content)
    (tmp_path / name).write_text("\ufeff" + text)
    told = TrainingSettings(**content)
    assert parse_settings(TrainingSettings, text) == told
    assert parse_settings(TrainingSettings, str(tmp_path / name)) == told


def test_single_fields_win_and_names_behind_a_dot_stand_within_a_field():
    changes = ["epochs=5", "recipe.optimizer.lr=0.1", "recipe.sparsity={strength: 2.0}"]
    told = parse_settings(TrainingSettings, '{"epochs": 3, "batch": 4}', changes)
    assert (told.epochs, told.batch) == (5, 4)
    assert told.recipe == {"optimizer.lr": 0.1, "sparsity": {"strength": 2.0}}
    assert parse_settings(TrainingSettings, None, ["epochs=null"]).epochs is None


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (
            '{"epoch": 3}',
            [],
            "--settings: epoch: got 3; there is no such field; did you mean epochs",
        ),
        (
            '{"colour": 3}',
            [],
            "colour: got 3; there is no such field; name one of seed, epochs, batch",
        ),
        ('{"epochs": 0}', [], "--settings: epochs: got 0; Input should be greater"),
        ('{"epochs"', [], "--settings: content: got .*; write JSON or YAML"),
        ("nowhere.json", [], "--settings: file: got 'nowhere.json'; give a JSON object"),
        (None, ["epochs"], "--set: change: got 'epochs'; write FIELD=VALUE"),
        (None, ["epochs=["], "--set: epochs: got '.'; write JSON or YAML"),
        (None, ["epochs=3", "epochs.y=1"], "epochs holds no further names"),
        (None, ["epochs=3", "epochs=4"], "--set: epochs: got '4'; epochs stands before it"),
        (None, ["recipe.ema.tau=3", "recipe={}"], "recipe: got '{}'; recipe.ema.tau stands before"),
        (None, ["device=tpu"], "device: got 'tpu'"),
    ],
)
def test_what_cannot_be_settings_is_named(text, changes, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(TrainingSettings, text, changes)


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"list.yaml: content: got \[1\]; give an object"):
        parse_settings(ChannelPruning, str(tmp_path / "list.yaml"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_settings_is_read_in_any_certain_encoding_with_tabs(encoding, tmp_path):
    (tmp_path / "s.json").write_text('{\n\t"epochs": 3\n}', encoding=encoding)
    assert parse_settings(TrainingSettings, str(tmp_path / "s.json")).epochs == 3


def test_a_file_of_settings_in_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"epochs: 3\n# L\xfccke\n")
    with pytest.raises(ConfigError, match=r"s.yaml: line 2: .*save the file as UTF-8"):
        parse_settings(TrainingSettings, str(tmp_path / "s.yaml"))
