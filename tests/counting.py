"""Counts that tests of networks share."""

import torch
from torch.utils.flop_counter import FlopCounterMode


def size_of(*modules):
    """Number of parameters of all modules."""
    return sum(p.numel() for module in modules for p in module.parameters())


def conv_macs_m(model, size):
    """Million multiply-adds of a network's convolutions on one image of size x size pixels."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, size, size))
    return counter.get_flop_counts()["Global"][torch.ops.aten.convolution] / 2e6


def macs_at(network, side, widths=None):
    """Multiply-adds of a classifier at other widths on one image of side x side pixels, without computing."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.narrowed(widths or {}).eval()(torch.empty(1, 3, side, side))
    return counter.get_total_flops() // 2
