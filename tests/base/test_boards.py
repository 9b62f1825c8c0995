"""What a configuration says of a board is taken out of it; the rest is a study's."""

import shlex

import pytest

from defectbench.base.boards import BOARD_ENGINES, BoardSettings, board_form, model_of, take_board
from defectbench.base.engines import Form
from defectbench.base.errors import ConfigError
from defectbench.deploy.edge.sessions import SESSIONS
from defectbench.deploy.edge.state import MODULES


def test_a_configuration_keeps_what_is_no_board():
    config = {"study": "a", "host": "pi@b", "forms": "ncnn,tensorrt-int8", "device": 5}
    board = take_board(config)
    assert config == {"study": "a"}
    assert (board.host, board.forms, board.name) == ("pi@b", ["ncnn", "tensorrt-int8"], "5")
    assert take_board({"study": "a"}) is None


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"device": "orin"}, "host"),
        ({"host": "b", "port": 0}, "port"),
        ({"host": "b", "forms": "tensorrt-fp8"}, "name"),
        ({"host": "b", "device": "../x"}, "name"),
        ({"host": "b", "device": "seed1"}, "name"),
    ],
)
def test_what_does_not_fit_is_named(config, field):
    with pytest.raises(ConfigError) as wrong:
        take_board(config)
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("host", "name"), [("pi@10.0.0.7", "10.0.0.7"), ("orin", "orin"), ("a@[fe80::1]", "_fe80__1_")]
)
def test_a_board_is_called_by_its_host_where_nothing_is_said(host, name):
    assert BoardSettings(host=host).name == name


def test_options_are_quoted():
    board = BoardSettings(host="b", identity="/my key's", port=22, folder="$HOME/x y")
    assert shlex.split(board.options) == ["--port=22", "--identity=/my key's", "--folder=$HOME/x y"]


def test_every_engine_of_boards_is_run_there_and_tensorrt_reads_onnx(tmp_path):
    assert set(BOARD_ENGINES) == set(SESSIONS)
    assert set(MODULES) == {"numpy", *BOARD_ENGINES}
    assert not {"torch", "onnxruntime_cuda"} & set(BOARD_ENGINES)
    assert model_of(tmp_path, board_form("tensorrt-fp16")) == tmp_path / "model.onnx"
    int8 = tmp_path / "engines" / "int8" / "model.onnx"
    assert model_of(tmp_path, board_form("tensorrt-int8")) == int8
    assert model_of(tmp_path, Form("ncnn", "fp16")) == tmp_path / Form("ncnn", "fp16").model
