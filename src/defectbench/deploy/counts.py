"""Counts of a torch module, taken before export: what the count of the file is checked against."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import nn

ATTENTION = "scaled_dot_product_attention"
PRODUCTS = ("conv", "linear", "matmul", "addmm", "bmm", "baddbmm", "einsum", ATTENTION)


def torch_counts(module: nn.Module, size: int) -> dict[str, int]:
    """Multiply-adds and parameters of a deployed module.

    Args:
        module: The deployed module, in eval mode.
        size: Side of the square input, pixels.

    Returns:
        ``macs_fvcore``, convolutions and matrix products at batch 1 by fvcore, which counts one per
        multiply-add, and ``params_torch``.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, torch.zeros(1, 3, size, size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        analysis.set_op_handle("aten::matmul", _product)
        analysis.set_op_handle(f"aten::{ATTENTION}", _attention)
        by_operator = analysis.by_operator()
    macs = round(sum(by_operator.get(name, 0) for name in PRODUCTS))
    return {
        "macs_fvcore": int(macs),
        "params_torch": sum(parameter.numel() for parameter in module.parameters()),
    }


def _product(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of a matrix product; fvcore's own handle knows no product with a vector."""
    depth, out = get_shape(inputs[0]), get_shape(outputs[0])
    return math.prod(out or []) * (depth or [0])[-1]


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of fused attention: queries with keys, then weights with values."""
    queries, values = get_shape(inputs[0]) or [], get_shape(inputs[2]) or []
    return math.prod(queries) * values[-2] + math.prod(queries[:-1]) * math.prod(values[-2:])
