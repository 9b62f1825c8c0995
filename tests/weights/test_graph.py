"""The reader of graphs: what a line says, and every way in which a file may be wrong."""

import pytest

from defectbench.base.errors import WeightsError
from defectbench.weights.graph import read_graph
from tests.weights.ncnn_files import MAGIC, param

INPUT = "Input data 0 1 data"
CONV = "Convolution conv 1 1 data out 0=2 1=3 4=1 5=1 6=54 -23310=1,1.000000e-01"
SPLIT = "Split split 1 2 out a b"


def write(folder, text):
    path = folder / "net.param"
    path.write_text(text)
    return path


def test_layers_are_read(tmp_path):
    layers = read_graph(write(tmp_path, param([INPUT, CONV, SPLIT])))
    assert [layer.type for layer in layers] == ["Input", "Convolution", "Split"]
    assert (layers[1].bottoms, layers[1].tops) == (("data",), ("out",))
    assert layers[1].settings[-23310] == "1,1.000000e-01"
    assert (layers[1].whole(1, 0), layers[1].whole(3, 7)) == (3, 7)
    assert layers[2].tops == ("a", "b")


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path):
    path = tmp_path / "net.param"
    path.write_bytes(b"\xef\xbb\xbf" + param([INPUT, CONV]).replace("\n", "\r\n").encode())
    assert len(read_graph(path)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: got ''"),
        ("pnnx\n1 1\n", "line 1: got 'pnnx'"),
        (MAGIC, "line 2"),
        (f"{MAGIC}\nmany layers\n", "line 2: got 'many layers'"),
        (param([INPUT, CONV], (3, 2)), "2 where line 2 says 3"),
        (param([INPUT, CONV], (2, 3)), "2 where line 2 says 3"),
        (param([INPUT, CONV]).replace(CONV, CONV[:20]), "line 4"),
        (param([INPUT, CONV]).replace("0=2", "zero=2"), "line 4"),
        (param([INPUT, CONV]).replace(" out ", " "), "line 4"),
    ],
)
def test_a_file_that_is_wrong_is_named(text, words, tmp_path):
    with pytest.raises(WeightsError, match=words) as caught:
        read_graph(write(tmp_path, text))
    assert "net.param" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no.param: file: got 'nothing'"):
        read_graph(tmp_path / "no.param")


def test_a_binary_graph_is_refused(tmp_path):
    (tmp_path / "net.param").write_bytes(b"\x5d\x86\xff\xfe")
    with pytest.raises(WeightsError, match="is no text"):
        read_graph(tmp_path / "net.param")
