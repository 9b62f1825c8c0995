"""A graph that was traced for one number of images, made to take any.

Tracing with a batch that is a symbol costs an exporter about twice the time of tracing with a number. So a module is
traced for a number of images that no side of its weights is a multiple of, and what bears this number is written
anew: shapes take their first side from what they are given, and maps are enlarged by factors instead of to sizes.
What bears it in another way is left to the tracing with a symbol; what comes out is held against the module at several
batches all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

# numbers of images: widths and numbers of points are mostly products of smaller primes, but a cut network has any width
PRIMES = (61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151)
NAME = "N"  # of the batch in the signature
_COPY = 0  # of Reshape: the side of what is given
_REST = -1  # of Reshape: what is left
INDEXED = ("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND")  # by numbers
_SIZES = 3  # which input of Resize


class BoundBatchError(Exception):
    """The number of images is in the graph in a way that cannot be written anew; says where."""


def batch_to_trace(shapes: Iterable[Iterable[int]]) -> int | None:
    """The first number of images that no side of a network's weights is a multiple of; None if there is none.

    Args:
        shapes: Of the weights, parameters and buffers.

    Returns:
        One of ``PRIMES``.
    """
    sides = {side for shape in shapes for side in shape if side}
    return next((prime for prime in PRIMES if all(side % prime for side in sides)), None)


def is_traced_for_a_number(model: onnx.ModelProto) -> bool:
    """Whether the images of a graph are as many as one of ``PRIMES``."""
    return any(side in PRIMES for value in model.graph.input[:1] for side in _sides_of(value)[:1])


def free_batch(model: onnx.ModelProto) -> None:
    """Let a graph that was traced for one of ``PRIMES`` images take any number, in place.

    Args:
        model: The graph; its first input holds the images, whose number is read from there.

    Raises:
        BoundBatchError: It cannot be done; the graph is then half changed and of no use.
    """
    _Graph(model.graph).free()


class _Graph:
    """Nodes, constants and shapes of a graph.

    Args:
        graph: The graph, which is changed.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {value.name: value for value in graph.initializer}
        values = itertools.chain(graph.input, graph.output, graph.value_info)
        self.sides = {value.name: _sides_of(value) for value in values}
        self.batch = _sides_of(graph.input[0])[0]

    def free(self) -> None:
        """Write all anew that bears the number of images."""
        if self.batch not in PRIMES:
            raise BoundBatchError(f"{self.graph.input[0].name}: its first side is {self.batch}")
        for node in self.graph.node:
            if node.op_type == "Reshape":
                self._free_reshape(node)
            elif node.op_type == "Resize" and len(node.input) > _SIZES:
                self._free_resize(node)
            self._check(node)
        del self.graph.value_info[:]  # shapes with the number; checkers infer them again
        for value in itertools.chain(self.graph.input, self.graph.output):
            side = value.type.tensor_type.shape.dim[0]
            if side.dim_value != self.batch:
                raise BoundBatchError(f"{value.name}: its first side is {side.dim_value}")
            side.dim_param = NAME
        self._drop_unused()

    def _free_reshape(self, node: onnx.NodeProto) -> None:
        """The first side of the shape is the batch, or holds it."""
        shape = self._whole_numbers(node.input[1])
        if shape is None or not self._bears(shape):
            return
        first, *others = shape.tolist()
        if first % self.batch or any(side % self.batch == 0 and side for side in others):
            raise BoundBatchError(f"{node.name}: {shape.tolist()}")
        if _REST not in others and 0 not in others:
            first = _REST
        elif first == self.batch and self.sides.get(node.input[0], [0])[0] == self.batch:
            first = _COPY
        else:
            raise BoundBatchError(f"{node.name}: {shape.tolist()}")
        node.input[1] = self._constant(f"{node.name}_shape", np.array([first, *others], np.int64))

    def _free_resize(self, node: onnx.NodeProto) -> None:
        """Factors in place of sizes, where they come to the same to the last bit."""
        sizes, given = self._whole_numbers(node.input[_SIZES]), self.sides.get(node.input[0])
        if sizes is None or not self._bears(sizes):
            return
        if not given or 0 in given:
            raise BoundBatchError(f"{node.name}: from {given} to {sizes.tolist()}")
        sides = np.array(given, np.float32)
        factors = sizes.astype(np.float32) / sides
        if (factors * sides != sizes).any():
            raise BoundBatchError(f"{node.name}: from {given} to {sizes.tolist()}")
        scales = self._constant(f"{node.name}_scales", factors)
        image, region = node.input[:2]
        del node.input[:]
        node.input.extend([image, region, scales])

    def _check(self, node: onnx.NodeProto) -> None:
        """Nothing else that the node is given bears the number.

        Raises:
            BoundBatchError: Something does.
        """
        for name in node.input:
            constant = self.constants.get(name)
            numbers = None if node.op_type in INDEXED else self._whole_numbers(name)
            shaped = constant is not None and self.batch in constant.dims
            if shaped or (numbers is not None and self._bears(numbers)):
                raise BoundBatchError(f"{node.name}: {name}")
        for attribute in node.attribute:
            if attribute.HasField("g"):
                raise BoundBatchError(f"{node.name}: a graph inside")
            if (attribute.i and attribute.i % self.batch == 0) or self._bears(
                np.array(attribute.ints, np.int64)
            ):
                raise BoundBatchError(f"{node.name}: {attribute.name}")

    def _whole_numbers(self, name: str) -> NDArray[np.int64] | None:
        """The numbers of a constant that may be a shape."""
        constant = self.constants.get(name)
        if constant is None or constant.data_type != onnx.TensorProto.INT64:
            return None
        return numpy_helper.to_array(constant).reshape(-1)

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        made = numpy_helper.from_array(values, name)
        self.graph.initializer.append(made)
        self.constants[name] = made
        return name

    def _drop_unused(self) -> None:
        """Leave out constants that no node is given any more."""
        used = {name for node in self.graph.node for name in node.input}
        kept = [value for value in self.graph.initializer if value.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def _bears(self, numbers: NDArray[np.int64]) -> bool:
        return bool(((numbers != 0) & (numbers % self.batch == 0)).any()) if numbers.size else False


def _sides_of(value: onnx.ValueInfoProto) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]
