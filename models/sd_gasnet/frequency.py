"""Slow and fast frequencies of maps, and the enhancement that SD-GASNet builds on them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from defectbench.nn.blocks import DepthwiseConv2d
from defectbench.nn.functional import is_exporting
from defectbench.nn.yolo import BN_EPS, BN_MOMENTUM, conv_silu


@lru_cache(maxsize=64)
def low_pass(size: int, share: float = 0.25) -> list[list[float]]:
    """Projector on the slow cosines of a side: D^T D, D the first rows of the orthonormal DCT-II matrix.

    Args:
        size: Cells of the side, n.
        share: Share of the n frequencies that are slow; at least one is.

    Returns:
        [n, n].
    """
    rates = np.arange(max(1, math.floor(share * size)))[:, None] * (np.pi / size)
    rows = np.cos(rates * (np.arange(size) + 0.5)) * (2 / size) ** 0.5
    rows[0] /= 2**0.5
    return (rows.T @ rows).tolist()


@lru_cache(maxsize=64)
def _kept_low_pass(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(mode=False):  # a tensor made in inference mode cannot serve training
        return torch.tensor(low_pass(size), device=device, dtype=dtype)


def _projector(size: int, x: Tensor) -> Tensor:
    if is_exporting():  # what is made while a graph is traced belongs to that graph
        return torch.tensor(low_pass(size), device=x.device, dtype=x.dtype)
    return _kept_low_pass(size, x.device, x.dtype)


class FGPEM(nn.Module):
    """Frequency-guided perception enhancement: boundaries gate places, texture gates channels.

    *Reconstructed*: the paper says that a filter parts high frequencies (boundaries) from low ones (texture)
    and that both strengthen the spatial map. Here X_low = P_h X P_w with P the projector on the slowest
    quarter of the cosines of each side, X_high = X - X_low: with a separable mask, cosine transform, mask and
    back transform are two products with small matrices.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        depthwise = DepthwiseConv2d(channels, 3)
        norm = nn.BatchNorm2d(channels, BN_EPS, BN_MOMENTUM)
        self.places = nn.Sequential(
            depthwise, norm, nn.SiLU(inplace=True), nn.Conv2d(channels, 1, 1)
        )
        self.channels = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 1), nn.SiLU(), nn.Conv2d(channels // 4, channels, 1)
        )
        self.last = conv_silu(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (int(side) for side in x.shape[-2:])
        slow = _projector(height, x) @ x @ _projector(width, x)
        attention = self.places(x - slow).sigmoid()
        mean, peak = slow.mean((2, 3), keepdim=True), slow.amax((2, 3), keepdim=True)
        channel = (self.channels(mean) + self.channels(peak)).sigmoid()
        return x + self.last((attention + channel) * x)
