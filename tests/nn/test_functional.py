"""Hand-written gradients against the automatic ones."""

import pytest
import torch
import torch.nn.functional as F

from defectbench.nn.functional import channel_shuffle, depthwise_conv, halves, mish, simam


def gradients(function, *inputs):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(5), dtype=out.dtype)
    (out * weight).sum().backward()
    return out, [leaf.grad for leaf in leaves]


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "height", "width"),
    [
        (5, 1, 1, 9, 7),
        (5, 2, 1, 8, 8),
        (5, 2, 1, 7, 9),
        (5, 1, 1, 1, 2),
        (7, 1, 1, 9, 8),
        (3, 1, 2, 6, 7),
        (3, 1, 3, 6, 6),
        (3, 1, 1, 5, 5),
    ],
)
def test_depthwise_equals_plain_convolution(kernel, stride, dilation, height, width):
    x = torch.randn(2, 4, height, width, dtype=torch.float64)
    weight = torch.randn(4, 1, kernel, kernel, dtype=torch.float64)
    pad = dilation * (kernel // 2)
    found, found_grads = gradients(lambda x, w: depthwise_conv(x, w, stride, dilation), x, weight)
    expected, grads = gradients(
        lambda x, w: F.conv2d(x, w, None, stride, pad, dilation, 4), x, weight
    )
    assert torch.equal(found, expected)
    for a, b in zip(found_grads, grads, strict=True):
        assert a is not None
        assert torch.allclose(a, b)


@pytest.mark.parametrize(("kernel", "dilation"), [(7, 1), (3, 2), (3, 1)])
def test_depthwise_with_bias_equals_plain_convolution(kernel, dilation):
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    weight = torch.randn(4, 1, kernel, kernel, dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    pad = dilation * (kernel // 2)
    found, found_grads = gradients(
        lambda x, w, b: depthwise_conv(x, w, 1, dilation, b), x, weight, bias
    )
    expected, grads = gradients(
        lambda x, w, b: F.conv2d(x, w, b, 1, pad, dilation, 4), x, weight, bias
    )
    assert torch.equal(found, expected)
    for a, b in zip(found_grads, grads, strict=True):
        assert a is not None
        assert torch.allclose(a, b)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_depthwise_in_float32_and_either_layout(layout):
    x = torch.randn(4, 32, 12, 12).contiguous(memory_format=layout)
    weight = torch.randn(32, 1, 5, 5)
    _, found = gradients(depthwise_conv, x, weight)
    _, expected = gradients(lambda x, w: F.conv2d(x, w, None, 1, 2, 1, 32), x, weight)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(("kernel", "dilation"), [(5, 1), (3, 2)])
def test_depthwise_under_autocast_takes_the_quick_gradient(kernel, dilation):
    """It gives what the plain convolution gives in bfloat16, to bfloat16's rounding, by the quick way."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 9, 9), torch.randn(8, 1, kernel, kernel)
    by_way = {}
    for way in ("quick", "plain"):
        leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        with torch.autocast("cpu", torch.bfloat16):
            if way == "quick":
                out = depthwise_conv(*leaves, 1, dilation)
                assert "Depthwise" in type(out.grad_fn).__name__
            else:
                out = F.conv2d(*leaves, None, 1, dilation * (kernel // 2), dilation, 8)
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
        by_way[way] = [leaf.grad for leaf in leaves]
        assert all(gradient.dtype == torch.float32 for gradient in by_way[way])
    for quick, plain in zip(*by_way.values(), strict=True):
        assert (quick - plain).norm() < 0.01 * plain.norm()


def test_depthwise_of_an_image_that_needs_no_gradient():
    weight = torch.randn(3, 1, 5, 5, requires_grad=True)
    depthwise_conv(torch.randn(2, 3, 8, 8), weight).sum().backward()
    assert weight.grad is not None


def test_simam_computes_in_float32_and_keeps_the_type():
    x = torch.randn(2, 3, 4, 4)
    narrow = simam(x.bfloat16())
    assert narrow.dtype == torch.bfloat16
    assert torch.allclose(narrow.float(), simam(x), atol=0.05)


# --- mish -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(2, 3, 5, 7, dtype=torch.float64),
        torch.randn(2, 3, 5, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last),
        torch.randn(4, 6, dtype=torch.float64)[:, ::2],
        torch.linspace(-90, 90, 70_001, dtype=torch.float64),  # more than a chunk
    ],
    ids=["rows", "channels last", "strided", "long"],
)
def test_mish_equals_the_librarys(x):
    found, found_grads = gradients(mish, x)
    expected, grads = gradients(F.mish, x)
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.allclose(found_grads[0], grads[0], atol=1e-12)


def test_mish_in_float32_and_its_layout():
    x = (torch.randn(3, 8, 9, 9) * 5).contiguous(memory_format=torch.channels_last)
    found, found_grads = gradients(mish, x)
    expected, grads = gradients(F.mish, x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found_grads[0], grads[0], atol=5e-5)


def test_mish_in_bfloat16_is_the_wide_one_rounded():
    x = torch.randn(2, 8, 9, 9).bfloat16()
    found, found_grads = gradients(mish, x)
    expected, grads = gradients(mish, x.float())
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected, rtol=2**-8, atol=1e-6)
    assert torch.allclose(found_grads[0].float(), grads[0], rtol=2**-6, atol=1e-2)


def test_mish_of_a_network_that_is_not_trained_is_the_librarys():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    with torch.no_grad():
        assert torch.equal(mish(x), F.mish(x))
    assert "Mish" in type(mish(x).grad_fn).__name__
    assert torch.equal(mish(x.detach()), F.mish(x.detach()))


def test_shuffle_interleaves():
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert channel_shuffle(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_shuffle_of_a_network_that_learns_keeps_channels_last_both_ways(groups):
    last = torch.channels_last
    x = torch.randn(2, 12, 4, 5).contiguous(memory_format=last)
    plain, plain_grads = gradients(lambda y: channel_shuffle(y.contiguous(), groups), x)
    found, grads = gradients(lambda y: channel_shuffle(y, groups), x)
    assert torch.equal(found, plain)
    assert torch.equal(grads[0], plain_grads[0])
    leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = channel_shuffle(leaf, groups)
    out.backward(torch.randn(out.shape))  # channels first
    assert out.is_contiguous(memory_format=last)
    assert leaf.grad.is_contiguous(memory_format=last)


def test_halves_of_a_network_that_learns_are_maps_of_their_own():
    last = torch.channels_last
    x = torch.randn(2, 6, 4, 5).contiguous(memory_format=last).requires_grad_()
    for found, view in zip(halves(x), x.chunk(2, 1), strict=True):
        assert torch.equal(found, view)
        assert found.is_contiguous(memory_format=last)
    first, second = halves(x)
    (first * 2 + second * 3).sum().backward()
    assert torch.equal(
        x.grad, torch.tensor([2.0, 3.0]).repeat_interleave(3).view(1, 6, 1, 1).expand_as(x)
    )
    with torch.no_grad():
        assert halves(x)[0].data_ptr() == x.data_ptr()
