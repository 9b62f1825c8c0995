"""A cut is held against its network before anything is trained."""

import re
from pathlib import Path

import pytest
import torch

from defectbench.base.records import read_record
from defectbench.cli import main

MODELS = Path(__file__).parents[3] / "models"
THIN = ("--set", "recipe.options={width: 0.05}")


def check(out, name, *more):
    command = ["check-pruning", "--method", str(MODELS / name), "--classes", "6", *more]
    return main([*command, "--out", str(out / "pruning.json")])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_the_record_tells_what_the_network_is(tmp_path, capsys):
    more = ("--set", "target_mib=0.3", "--set", "drop_units=23", "--set", "kd=chen2017")
    assert check(tmp_path, "yolov4", *more, *THIN) == 0
    assert "23 residual units" in capsys.readouterr().out
    record = read_record(tmp_path / "pruning.json", "pruning")
    figures = record["figures"]
    assert figures["groups"] == 84
    assert figures["units"] == 23
    assert 0.3 < figures["size_mib"] < 1
    assert (record["kd"], record["settings"]["drop_units"]) == ("chen2017", 23)


def test_a_cut_is_refused_only_where_no_training_would_allow_it(tmp_path):
    """The large units may be those that fade: a target between the two bounds is legal."""
    more = (
        "--set",
        "layer_keep=0.2",
        "--set",
        "drop_units=12",
        "--set",
        "recipe.options={width: 0.25}",
    )
    assert check(tmp_path, "yolov4", "--set", "target_mib=0.5", *more) == 0
    assert check(tmp_path, "yolov4", "--set", "target_mib=0.4", *more) == 2


def test_a_misspelt_option_is_no_fault_of_the_teaching(tmp_path, capsys):
    assert (
        check(tmp_path, "yolov4", "--set", "kd=chen2017", "--set", "recipe.options={widht: 0.5}")
        == 2
    )
    assert "widht" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("yolov4", ("--set", "drop_units=24", *THIN), "drop_units: got 24; .* 23 residual units"),
        ("yolov4", ("--set", "target_mib=0.001", *THIN), "target_mib: got 0.001; at least 0.0"),
        (
            "yolov4",
            ("--set", "layer_keep=1.0", "--set", "target_mib=0.1", *THIN),
            "target_mib: got 0.1",
        ),
        ("yolov8n", ("--set", "drop_units=1"), "drop_units: got 1; .* 0 residual units"),
        ("yolov8n", ("--set", "kd=chen2017"), "kd: got 'chen2017'; choose one of none, ekl"),
    ],
)
def test_a_cut_that_the_network_does_not_allow_is_named(tmp_path, capsys, name, more, message):
    assert check(tmp_path, name, *more) == 2
    assert re.search(rf"method {name}: {message}", capsys.readouterr().err)
    assert not (tmp_path / "pruning.json").exists()
