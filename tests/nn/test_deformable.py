"""Deformable attention: points by hand, first directions, weights of both maps."""

import pytest
import torch

from defectbench.nn.deformable import DeformableAttention, first_offsets


def test_directions_are_spread_over_a_square_and_steps_grow():
    offsets = first_offsets(8, (4, 2))
    assert offsets.shape == (8, 6, 2)
    assert torch.allclose(offsets[0, :, 0], torch.tensor([1.0, 2, 3, 4, 1, 2]))
    assert torch.allclose(offsets[1], offsets[1, :, :1].expand(-1, 2), atol=1e-5)  # a diagonal
    assert torch.allclose(offsets[4], -offsets[0], atol=1e-5)
    assert torch.allclose(offsets.abs().amax(-1)[:, 0], torch.ones(8))


def lone(points=(1, 1)):
    """One head whose offsets are zero: it looks at the middle of a box."""
    attention = DeformableAttention(2, 1, points)
    torch.nn.init.zeros_(attention.offsets.bias)
    return attention


def test_a_point_in_the_middle_of_a_cell_sees_that_cell():
    fine, coarse = torch.arange(32.0).view(1, 2, 4, 4), torch.full((1, 2, 2, 2), 100.0)
    boxes = torch.tensor([[[3 / 8, 5 / 8, 0.2, 0.2]]])  # row 2, column 1
    seen = lone()(torch.rand(1, 1, 2), boxes, [fine, coarse])
    assert torch.allclose(seen, torch.tensor([[[(9 + 100) / 2, (25 + 100) / 2]]]))


def test_between_cells_it_sees_their_mean_and_outside_nothing():
    fine, coarse = torch.arange(32.0).view(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)
    boxes = torch.tensor([[[0.5, 1 / 8, 0, 0], [2.0, 0.5, 0, 0]]])
    seen = 2 * lone()(torch.rand(1, 2, 2), boxes, [fine, coarse])
    assert torch.allclose(seen, torch.tensor([[[1.5, 17.5], [0.0, 0.0]]]))


@pytest.mark.parametrize(("points", "share"), [((1, 1), 0.5), ((4, 2), 0.125)])
def test_offsets_are_shares_of_half_the_box_and_of_the_number_of_points(points, share):
    ramp = (torch.arange(64.0) + 0.5) / 64
    fine = ramp.expand(1, 2, 64, 64).contiguous()
    attention = DeformableAttention(2, 1, points)
    total = sum(points)
    bias = torch.zeros(total, 2)
    bias[0, 0] = 1.0
    attention.offsets.bias.data.copy_(bias.flatten())
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.1]]])
    seen = attention(torch.zeros(1, 1, 2), boxes, [fine, fine])
    assert seen[0, 0, 0].item() == pytest.approx(0.5 + share * 0.4 / total, abs=1e-5)


def test_heads_see_their_own_channels():
    attention = DeformableAttention(4, 2, (1,))
    torch.nn.init.zeros_(attention.offsets.bias)
    x = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    boxes = torch.tensor([[[0.5, 0.5, 0.1, 0.1]]])
    assert attention(torch.zeros(1, 1, 4), boxes, [x])[0, 0].tolist() == [1, 2, 3, 4]
