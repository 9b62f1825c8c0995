"""The weights of an ncnn network, a ``.bin`` file: what each convolution of its graph holds, in the graph's order.

The file has no index. Of each convolution it holds a flag of 4 bytes that says how the weights are written, the
weights, and the biases as float32; where one begins follows from all before it. So the lengths must come out even.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..base.errors import WeightsError
from .graph import WHOLE, Layer, read_graph

FLOAT32, FLOAT16 = 0, 0x01306B47
OTHER_FLAGS = {0x000D4B38: "8-bit weights", 0x0002C056: "scaled float32 weights"}
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
# What holds no weights; any other layer might, and what follows it could not be found.
WEIGHTLESS = {
    *("BinaryOp", "Clip", "Concat", "Crop", "Dropout", "ELU", "Eltwise", "Flatten", "GELU"),
    *("HardSigmoid", "HardSwish", "Input", "Interp", "Mish", "Noop", "Padding", "Permute"),
    *("PixelShuffle", "Pooling", "ReLU", "Reorg", "Reshape", "ShuffleChannel", "Sigmoid", "Slice"),
    *("Softmax", "Split", "Swish", "TanH", "UnaryOp", "YoloV5Focus"),
}


@dataclass(frozen=True)
class Convolution:
    """A convolution of a graph, with a batch norm folded into it if it had one.

    Attributes:
        name: Its name in the graph.
        weight: float32 [O, I / groups, k, k].
        bias: float32 [O], or None.
        stride: Of the kernel, cells.
        padding: On each side, cells.
        dilation: Of the kernel, cells.
        groups: Groups of channels.
    """

    name: str
    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: int
    dilation: int
    groups: int


def read_convolutions(param: str | Path, weights: str | Path) -> list[Convolution]:
    """Read all convolutions of an ncnn network.

    Args:
        param: The graph, a ``.param`` file.
        weights: Its weights, the ``.bin`` file.

    Raises:
        WeightsError: A file is missing, damaged or cut off, holds more than the graph asks for, or something else
            than convolutions has weights; file and layer stand in the error.
    """
    shapes = [_shape(param, layer) for layer in _with_weights(param, read_graph(param))]
    try:
        data = memoryview(Path(weights).read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(weights, "file", "nothing", "put it beside the .param file") from error
    read, place = [], 0
    for shape in shapes:
        convolution, place = _read(weights, data, place, shape)
        read.append(convolution)
    if place != len(data):
        fix = f"the convolutions of {Path(param).name} take {place} bytes; take both files from one place"
        raise WeightsError(weights, "length", f"{len(data)} bytes", fix)
    return read


@dataclass(frozen=True)
class _Shape:
    """What a graph says of a convolution."""

    layer: str
    weight: tuple[int, int, int, int]
    has_bias: bool
    stride: int
    padding: int
    dilation: int
    groups: int


def _with_weights(param: str | Path, layers: Sequence[Layer]) -> Iterator[Layer]:
    for layer in layers:
        if layer.type in CONVOLUTIONS:
            yield layer
        elif layer.type not in WEIGHTLESS:
            fix = f"weights are read of {' and '.join(CONVOLUTIONS)} alone, and this one may have some"
            raise WeightsError(param, f"layer {layer.name}", layer.type, fix)


def _shape(param: str | Path, layer: Layer) -> _Shape:
    try:
        outputs, kernel, count = (layer.whole(number, 0) for number in (0, 1, 6))
        groups = layer.whole(7, 1)
        stride, padding, dilation = layer.whole(3, 1), layer.whole(4, 0), layer.whole(2, 1)
        has_bias, is_quantised = bool(layer.whole(5, 0)), bool(layer.whole(8, 0))
        pairs = (
            (11, kernel),
            (12, dilation),
            (13, stride),
            (14, padding),
            (15, padding),
            (16, padding),
        )
        is_square = all(layer.whole(number, value) == value for number, value in pairs)
        inputs = count // (outputs * kernel * kernel)
    except (ValueError, ZeroDivisionError) as error:
        raise WeightsError(param, f"layer {layer.name}", layer.settings, WHOLE) from error
    if not is_square or is_quantised:
        fix = "kernels, strides and padding are read where they are square, weights where they are no 8-bit ones"
        raise WeightsError(param, f"layer {layer.name}", layer.settings, fix)
    if min(outputs, kernel, inputs, groups) < 1 or inputs * outputs * kernel * kernel != count:
        fix = f"{WHOLE}; weights (6) are outputs (0) x inputs x kernel (1) x kernel"
        raise WeightsError(param, f"layer {layer.name}", layer.settings, fix)
    weight = (outputs, inputs, kernel, kernel)
    return _Shape(layer.name, weight, has_bias, stride, padding, dilation, groups)


def _read(path: str | Path, data: memoryview, place: int, shape: _Shape) -> tuple[Convolution, int]:
    """A convolution, and where the next one begins."""
    outputs, inputs, kernel, _ = shape.weight
    count = outputs * inputs * kernel * kernel
    (flag,) = struct.unpack("<I", _bytes(path, data, place, 4, shape))
    if flag not in (FLOAT32, FLOAT16):
        fix = "float32 (0) and float16 (0x01306b47) weights are read"
        told = f"0x{flag:08x}, {OTHER_FLAGS.get(flag, 'no flag of ncnn: the file is damaged')}"
        raise WeightsError(path, f"flag of layer {shape.layer}", told, fix)
    place += 4
    kind, width = ("<f2", 2) if flag == FLOAT16 else ("<f4", 4)
    length = -(-count * width // 4) * 4  # padded to 4 bytes
    weight = _numbers(_bytes(path, data, place, length, shape)[: count * width], kind)
    place += length
    bias = None
    if shape.has_bias:
        bias = _numbers(_bytes(path, data, place, 4 * outputs, shape), "<f4")
        place += 4 * outputs
    for values in (weight, bias):
        if values is not None and not values.isfinite().all():
            told = f"{int((~values.isfinite()).sum())} numbers that are not finite"
            raise WeightsError(path, f"layer {shape.layer}", told, WHOLE)
    geometry = (shape.stride, shape.padding, shape.dilation, shape.groups)
    return Convolution(shape.layer, weight.view(shape.weight), bias, *geometry), place


def _bytes(
    path: str | Path, data: memoryview, place: int, length: int, shape: _Shape
) -> memoryview:
    if place + length > len(data):
        told = f"{len(data)} bytes, of which this layer needs those up to {place + length}"
        raise WeightsError(path, f"layer {shape.layer}", told, f"the file is cut off; {WHOLE}")
    return data[place : place + length]


def _numbers(data: memoryview, kind: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, kind).astype(np.float32))
