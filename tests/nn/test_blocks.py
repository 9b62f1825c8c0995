"""Blocks against their plain definitions, and what folding leaves unchanged."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from defectbench.nn.blocks import (
    ConvBlock,
    DOConv2d,
    SimAM,
    StridedPointwiseConv2d,
)
from defectbench.nn.detector import grid_priors
from defectbench.nn.fold import fold_all
from defectbench.nn.heads import decode_bins
from defectbench.nn.rep import RepConv, RepDepthwise


def naive_simam(x, eps=1e-4):
    n = max(x.shape[2] * x.shape[3] - 1, 1)
    d = (x - x.mean((2, 3), keepdim=True)) ** 2
    v = d.sum((2, 3), keepdim=True) / n
    return x * torch.sigmoid(d / (4 * (v + eps)) + 0.5)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 4, 1, 1), (2, 2, 1, 6)])
def test_simam_equals_its_definition_with_its_gradient(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    weight = torch.randn(shape, dtype=torch.float64)
    found, expected = SimAM()(x), naive_simam(y)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.allclose(found, expected)
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(x.grad, y.grad)


def test_simam_passes_gradcheck():
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SimAM(), (x,))


def test_do_conv_composes_and_folds():
    conv = DOConv2d(4, 6, 3)
    x = torch.randn(2, 4, 8, 8)
    assert torch.allclose(conv(x), F.conv2d(x, conv.weight, padding=1), atol=1e-6)
    nn.init.normal_(conv.depth, std=0.3)
    expected = torch.empty_like(conv.weight)
    d = conv.depth + torch.eye(9)
    for o in range(6):
        for i in range(4):
            expected[o, i] = (d[i] @ conv.weight[o, i].flatten()).view(3, 3)
    assert torch.allclose(conv.composed(), expected, atol=1e-5)
    assert torch.allclose(conv(x), conv.folded()(x), atol=1e-5)


class NaiveRep(nn.Module):
    """The branches one by one."""

    def __init__(self, rep):
        super().__init__()
        copies, c = rep.points.shape
        self.points = nn.ModuleList(nn.Conv2d(c, c, 1, groups=c, bias=False) for _ in range(copies))
        convs = (nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False) for _ in range(copies))
        self.kernels = nn.ModuleList(convs)
        for k in range(copies):
            self.points[k].weight.data = rep.points[k].detach().view(c, 1, 1, 1).clone()
            self.kernels[k].weight.data = rep.kernels[k].weight.detach().clone()
        self.identity = nn.BatchNorm2d(c)
        self.point_norms = nn.ModuleList(nn.BatchNorm2d(c) for _ in self.points)
        self.kernel_norms = nn.ModuleList(nn.BatchNorm2d(c) for _ in self.kernels)
        self.double()

    def forward(self, x):
        out = self.identity(x)
        for conv, norm in zip(self.points, self.point_norms, strict=True):
            out = out + norm(conv(x))
        for conv, norm in zip(self.kernels, self.kernel_norms, strict=True):
            out = out + norm(conv(x))
        return F.leaky_relu(out, 0.1)


def test_rep_depthwise_equals_its_branches_one_by_one():
    rep = RepDepthwise(6).double()
    naive = NaiveRep(rep)
    x = torch.randn(4, 6, 9, 9, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = rep.train()(x), naive.train()(y)
    assert torch.allclose(found, expected)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(x.grad, y.grad)
    assert rep.points.grad is not None
    for k, conv in enumerate(naive.points):
        assert conv.weight.grad is not None
        assert torch.allclose(rep.points.grad[k], conv.weight.grad.flatten())
    with torch.no_grad():
        naive.eval()
        assert torch.allclose(rep.eval()(x), naive(y))


def test_rep_depthwise_folds():
    rep = RepDepthwise(6)
    for _ in range(3):
        rep(torch.randn(4, 6, 9, 9) * 2 + 1)
    rep.eval()
    x = torch.randn(2, 6, 9, 9)
    with torch.no_grad():
        assert torch.allclose(rep(x), rep.folded()(x), atol=1e-5)
    assert sum(p.numel() for p in rep.folded().parameters()) == 6 * 10


def test_conv_bn_folds():
    block = ConvBlock(3, 5, 3, 2)
    for _ in range(3):
        block(torch.randn(4, 3, 8, 8) + 1)
    block.eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = block(x)
        assert torch.allclose(fold_all(block)(x), expected, atol=1e-5)


def test_priors_sit_at_cell_corners_and_count_up_to_the_ceiling():
    priors = grid_priors(48, 40, (8, 64), offset=0)
    assert len(priors) == 6 * 5 + 1
    assert priors[:6, 0].tolist() == [0, 8, 16, 24, 32, 0]
    assert priors[-1].tolist() == [0, 0, 64]
    assert len(grid_priors(192, 192, (8, 16, 32, 64), offset=0)) == 765


def test_bins_decode_to_expected_distance():
    priors = torch.tensor([[16.0, 24.0, 8.0]])
    bins = torch.full((1, 1, 32), -40.0)
    for side, bin_ in enumerate((1, 2, 3, 7)):
        bins[0, 0, 8 * side + bin_] = 40.0
    assert decode_bins(bins, priors)[0, 0].tolist() == [8.0, 8.0, 40.0, 80.0]


def test_rep_conv_folds_to_one_convolution():
    torch.manual_seed(0)
    rep = RepConv(6).double()
    assert sum(p.numel() for p in rep.parameters()) == 6 * 6 * 10 + 3 * 12
    for _ in range(3):
        rep.train()(torch.randn(4, 6, 5, 7, dtype=torch.float64) * 2 + 1)
    for norm in (rep.square[1], rep.point[1], rep.identity):
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.uniform_(norm.bias, -1, 1)
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    expected = rep.eval()(x)
    folded = rep.folded().double()
    assert sum(isinstance(m, torch.nn.Conv2d) for m in folded.modules()) == 1
    torch.testing.assert_close(folded(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("c_in", "c_out", "side"), [(3, 48, 32), (6, 6, 16), (5, 16, 15), (16, 8, 9)]
)
def test_strided_pointwise_convolution_learns_as_the_plain_one_in_float64(c_in, c_out, side):
    conv = StridedPointwiseConv2d(c_in, c_out, 2)
    images = torch.randn(12, c_in, side, side).to(memory_format=torch.channels_last)
    images.requires_grad_()
    out = conv(images)
    pull = torch.randn_like(out)
    out.backward(pull)
    weight = conv.weight.detach().double().requires_grad_()
    wide = images.detach().double().requires_grad_()
    expected = nn.functional.conv2d(wide, weight, stride=2)
    expected.backward(pull.double())
    assert torch.allclose(out.double(), expected, atol=1e-5)
    assert conv.weight.grad is not None
    assert torch.allclose(conv.weight.grad.double(), weight.grad, rtol=1e-4, atol=1e-4)
    assert torch.allclose(images.grad.double(), wide.grad, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(conv.eval()(images), out, atol=1e-5)
