"""Batch norm: exact moments and gradients whatever the layout, running statistics, what stays the library's."""

import copy

import pytest
import torch
from torch import nn

from defectbench.nn.batch_norm import (
    LEAST_POSITIONS,
    ExactBatchNorm2d,
    batch_moments,
    gains_from_columns,
    make_batch_norms_exact,
    normalize_batch,
)

LAYOUTS = (torch.channels_last, torch.contiguous_format)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def batch(*shape, layout=torch.channels_last):
    return (torch.randn(*shape) * 2 + 0.5).contiguous(memory_format=layout)


def outcomes(layer, x, grad):
    """Output, and gradients to the input, the scale and the shift."""
    x = x.detach().requires_grad_()
    out = layer(x)
    return out, *torch.autograd.grad(out, (x, layer.weight, layer.bias), grad)


def relative_error(value, expected):
    return float(((value.double() - expected).abs().max() / expected.abs().max()).detach())


def layers(channels, **options):
    """A batch norm of the library in float64, and the exact one, of equal parameters."""
    plain = nn.BatchNorm2d(channels, **options).double()
    nn.init.uniform_(plain.weight, 0.5, 1.5)
    nn.init.normal_(plain.bias)
    exact = copy.deepcopy(plain).float()
    make_batch_norms_exact(exact)
    return plain, exact


@pytest.mark.parametrize("shape", [(8, 8, 96, 96), (16, 24, 61, 47), (2, 3, 40, 33)])
def test_forward_and_gradients_are_exact_with_channels_last(shape):
    plain, exact = layers(shape[1])
    x, grad = batch(*shape), torch.randn(shape)
    assert gains_from_columns(x)
    expected = outcomes(plain, x.double(), grad.double())
    for value, wanted in zip(outcomes(exact, x, grad), expected, strict=True):
        assert relative_error(value, wanted) < 2e-6
    for name in ("running_mean", "running_var"):
        assert relative_error(getattr(exact, name), getattr(plain, name)) < 1e-6
    assert exact.num_batches_tracked == plain.num_batches_tracked == 1


def test_moments_stay_exact_however_many_positions_there_are():
    x = batch(64, 8, 96, 96)
    expected = x.double().var((0, 2, 3), correction=0)
    assert relative_error(batch_moments(x)[1], expected) < 1e-6


@pytest.mark.parametrize("momentum", [0.1, 0.03, None])
def test_running_statistics_follow_several_batches(momentum):
    plain, exact = layers(5, momentum=momentum)
    for _ in range(3):
        x = batch(3, 5, 32, 32)
        plain(x.double())
        exact(x.requires_grad_())
    for name in ("running_mean", "running_var"):
        assert relative_error(getattr(exact, name), getattr(plain, name)) < 1e-6


@pytest.mark.parametrize(
    "x",
    [
        batch(8, 4, 64, 64, layout=torch.contiguous_format),
        batch(2, 4, 3, 3),
        batch(8, 4, 64, 64).double(),
        batch(8, 4, 64, 64).bfloat16(),
    ],
    ids=["rows first", "few positions", "float64", "bfloat16"],
)
def test_other_batches_take_the_library_s_kernel_to_the_bit(x):
    assert not gains_from_columns(x)
    _, exact = layers(4)
    exact = exact.to(x.dtype)
    plain = nn.BatchNorm2d(4).to(x.dtype)
    plain.load_state_dict(exact.state_dict())
    assert torch.equal(exact(x), plain(x))


def test_evaluation_and_layers_without_parameters_are_the_library_s():
    x = batch(8, 4, 64, 64)
    plain, bare = nn.BatchNorm2d(4).eval(), nn.BatchNorm2d(4, affine=False)
    network = copy.deepcopy(nn.Sequential(plain, bare))
    make_batch_norms_exact(network)
    assert torch.equal(network[0](x), plain(x))
    assert torch.equal(network[1](x), bare(x))


def test_conversion_keeps_state_and_spares_other_kinds():
    class OwnNorm(nn.BatchNorm2d):
        pass

    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), OwnNorm(4), nn.GroupNorm(2, 4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    make_batch_norms_exact(network)
    assert [type(m) for m in network][1:] == [ExactBatchNorm2d, OwnNorm, nn.GroupNorm]
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("side", [6, 64])
def test_batch_moments_and_the_gradient_of_the_variance(layout, side):
    x = batch(3, 4, side, side + 1, layout=layout).requires_grad_()
    wide = x.detach().double().requires_grad_()
    mean, variance = batch_moments(x)
    expected, expected_mean = torch.var_mean(wide, (0, 2, 3), correction=0)
    assert relative_error(mean, expected_mean) < 1e-5
    assert relative_error(variance, expected) < 1e-5
    (slope,) = torch.autograd.grad(variance.sum(), x)
    (wanted,) = torch.autograd.grad(expected.sum(), wide)
    assert relative_error(slope, wanted) < 1e-5


def test_batch_moments_of_a_constant_are_not_negative():
    for side in (4, 64):
        mean, variance = batch_moments(torch.full((2, 3, side, side), 7.0))
        assert mean.tolist() == [7.0] * 3
        assert 0 <= float(variance.min()) <= float(variance.max()) < 1e-6


def test_normalize_batch_reaches_scale_and_shift_by_either_kernel():
    for side in (4, 64):
        x = batch(2, 3, side, side)
        scale, shift = torch.rand(3).requires_grad_(), torch.randn(3).requires_grad_()
        out = normalize_batch(x, scale, shift, 1e-5)
        wide = nn.functional.batch_norm(
            x.double(), None, None, scale.double(), shift.double(), True
        )
        assert relative_error(out, wide) < 1e-5
        grad = torch.randn(out.shape)
        gradients = torch.autograd.grad(out, (scale, shift), grad)
        expected = torch.autograd.grad(wide, (scale, shift), grad.double())
        for value, wanted in zip(gradients, expected, strict=True):
            assert relative_error(value, wanted.double()) < 1e-5


def test_the_limit_is_in_positions_of_a_channel():
    side = int(LEAST_POSITIONS**0.5)
    assert not gains_from_columns(batch(1, 3, side, side))
    assert gains_from_columns(batch(2, 3, side, side))
