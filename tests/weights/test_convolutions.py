"""The reader of weights: float16 with padding, float32, and every way in which a file may be wrong."""

import struct

import numpy as np
import pytest
import torch

from defectbench.base.errors import WeightsError
from defectbench.weights.convolutions import read_convolutions
from tests.weights.ncnn_files import FLOAT16, FLOAT32, param, weights

INPUT = "Input data 0 1 data"
FIRST = "Convolution first 1 1 data a 0=3 1=1 5=1 6=9"  # 9 halves: two bytes of padding
SECOND = "ConvolutionDepthWise second 1 1 a b 0=3 1=3 3=2 4=1 6=27 7=3"


@pytest.fixture
def numbers():
    random = np.random.default_rng(0)
    return [random.normal(size=n).astype(np.float16).astype(np.float32) for n in (9, 3, 27)]


@pytest.fixture
def files(tmp_path):
    """Writes a pair of files and names them."""

    def write(layers, data):
        (tmp_path / "net.param").write_text(param(layers))
        (tmp_path / "net.bin").write_bytes(data)
        return tmp_path / "net.param", tmp_path / "net.bin"

    return write


@pytest.mark.parametrize("flags", [(FLOAT16, FLOAT32), (FLOAT32, FLOAT16), (FLOAT16, FLOAT16)])
def test_both_kinds_of_weights_are_read(flags, numbers, files):
    data = weights(numbers[0], numbers[1], flags[0]) + weights(numbers[2], None, flags[1])
    first, second = read_convolutions(*files([INPUT, FIRST, SECOND], data))
    assert first.weight.dtype == torch.float32
    assert first.weight.flatten().tolist() == numbers[0].tolist()
    assert first.bias is not None
    assert first.bias.tolist() == numbers[1].tolist()
    assert second.bias is None
    assert second.weight.flatten().tolist() == numbers[2].tolist()
    assert (tuple(first.weight.shape), tuple(second.weight.shape)) == ((3, 3, 1, 1), (3, 1, 3, 3))
    assert (second.name, second.stride, second.padding, second.groups) == ("second", 2, 1, 3)


@pytest.mark.parametrize("cut", [1, 2, 4, 50, 100, 111])
def test_a_file_that_is_cut_off_names_the_layer(cut, numbers, files):
    data = weights(numbers[0], numbers[1], FLOAT16) + weights(numbers[2], None, FLOAT32)
    layer = "second" if cut <= 112 else "first"
    with pytest.raises(WeightsError, match=rf"net.bin: layer {layer}: .*cut off"):
        read_convolutions(*files([INPUT, FIRST, SECOND], data[:-cut]))


@pytest.mark.parametrize("kept", [0, 3, 4, 20, 30])
def test_so_does_one_that_ends_in_the_first_layer(kept, numbers, files):
    data = weights(numbers[0], numbers[1], FLOAT16) + weights(numbers[2], None, FLOAT32)
    with pytest.raises(WeightsError, match=r"net.bin: layer first: .*cut off"):
        read_convolutions(*files([INPUT, FIRST, SECOND], data[:kept]))


def test_bytes_that_are_left_over_are_refused(numbers, files):
    data = weights(numbers[0], numbers[1]) + b"more"
    with pytest.raises(WeightsError, match=r"length: got '56 bytes'; .*take 52 bytes"):
        read_convolutions(*files([INPUT, FIRST], data))


@pytest.mark.parametrize(
    ("flag", "words"),
    [(0x000D4B38, "8-bit weights"), (0x12345678, "damaged"), (0x0002C056, "scaled")],
)
def test_other_flags_are_refused(flag, words, numbers, files):
    data = struct.pack("<I", flag) + weights(numbers[0], numbers[1])[4:]
    with pytest.raises(WeightsError, match=rf"flag of layer first: got '0x{flag:08x}, .*{words}"):
        read_convolutions(*files([INPUT, FIRST], data))


def test_numbers_that_are_not_finite_are_refused(numbers, files):
    numbers[0][4] = np.nan
    with pytest.raises(WeightsError, match=r"layer first: got '1 numbers that are not finite'"):
        read_convolutions(*files([INPUT, FIRST], weights(numbers[0], numbers[1], FLOAT16)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("InnerProduct dense 1 1 data a 0=3 1=1 2=9", "layer dense: got 'InnerProduct'"),
        ("BatchNorm norm 1 1 data a 0=3", "layer norm: got 'BatchNorm'"),
        ("Convolution first 1 1 data a 0=3 1=1 5=1 6=10", "layer first"),
        ("Convolution first 1 1 data a 0=0 1=1 5=1 6=9", "layer first"),
        ("Convolution first 1 1 data a 0=3 1=wide 6=9", "layer first"),
        ("Convolution first 1 1 data a 0=3 1=1 11=3 6=27", "square"),
        ("Convolution first 1 1 data a 0=3 1=1 6=9 8=1", "8-bit"),
    ],
)
def test_layers_that_cannot_be_read_are_named(line, words, files):
    with pytest.raises(WeightsError, match=words):
        read_convolutions(*files([INPUT, line], b""))


def test_weights_that_are_not_there_are_named(files, tmp_path):
    graph, data = files([INPUT, FIRST], b"")
    data.unlink()
    with pytest.raises(WeightsError, match=r"net.bin: file: got 'nothing'"):
        read_convolutions(graph, data)
