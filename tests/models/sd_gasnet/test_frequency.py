"""The split of frequencies: a projector, exact, equal to a masked cosine transform."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from tests.networks import piece

FREQUENCY = piece("sd_gasnet", "frequency")
FGPEM, low_pass = FREQUENCY.FGPEM, FREQUENCY.low_pass


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13, 40])
def test_low_pass_is_a_projector(size):
    p = torch.tensor(low_pass(size), dtype=torch.float64)
    torch.testing.assert_close(p @ p, p, rtol=0, atol=1e-13)
    torch.testing.assert_close(p, p.T, rtol=0, atol=1e-15)
    assert float(p.trace()) == pytest.approx(max(1, size // 4))
    torch.testing.assert_close(p.sum(1), torch.ones(size, dtype=torch.float64))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (14, 40), (5, 9)])
def test_slow_part_is_the_masked_cosine_transform(height, width):
    x = np.random.default_rng(0).standard_normal((2, 3, height, width))
    spectrum = dctn(x, axes=(2, 3), norm="ortho")
    spectrum[:, :, max(1, height // 4) :] = 0
    spectrum[..., max(1, width // 4) :] = 0
    slow = np.array(low_pass(height)) @ x @ np.array(low_pass(width))
    np.testing.assert_allclose(slow, idctn(spectrum, axes=(2, 3), norm="ortho"), atol=1e-12)
    fast = x - slow
    assert abs((slow * fast).sum()) < 1e-10 * (x**2).sum()
    assert abs(fast.mean((2, 3))).max() < 1e-12


def test_counts_and_state_do_not_depend_on_the_size():
    torch.manual_seed(0)
    layer = FGPEM(128).train()
    assert sum(p.numel() for p in layer.parameters()) == 157_601
    names = list(layer.state_dict())
    for shape in ((8, 8), (6, 10)):
        x = torch.rand(2, 128, *shape)
        assert layer(x).shape == x.shape
    assert list(layer.state_dict()) == names


def test_scores_in_inference_mode_do_not_hinder_training():
    torch.manual_seed(0)
    layer = FGPEM(8)
    with torch.inference_mode():
        layer(torch.rand(1, 8, 11, 7))
    x = torch.rand(2, 8, 11, 7, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_agrees_with_the_formula():
    torch.manual_seed(1)
    layer = FGPEM(8).eval()
    x = torch.randn(2, 8, 9, 12)
    slow = torch.tensor(low_pass(9)) @ x @ torch.tensor(low_pass(12))
    place = layer.places(x - slow).sigmoid()
    squeeze = layer.channels
    channel = (squeeze(slow.mean((2, 3), True)) + squeeze(slow.amax((2, 3), True))).sigmoid()
    torch.testing.assert_close(layer(x), x + layer.last(place * x + channel * x))
