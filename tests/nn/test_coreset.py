"""Greedy k-center: ends of a line, copies, covering radius against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from defectbench.nn.coreset import k_center


def test_the_ends_of_a_line_come_first_and_then_the_middle_of_the_widest_gap():
    line = torch.tensor([0.0, 1.0, 2.5, 6.0, 10.0]).view(-1, 1)
    rows, radius = k_center(line, 4, first=1)
    assert rows.tolist() == [1, 4, 3, 2]
    assert radius == pytest.approx(1.0)
    assert k_center(line, 3, first=2)[0].tolist() == [2, 4, 3]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_copies_are_not_chosen_twice(scale):
    vectors = scale * torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    rows, radius = k_center(vectors.repeat(4, 1), 20, first=3)
    assert sorted(row % 5 for row in rows.tolist()) == [0, 1, 2, 3, 4]
    assert radius == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 9))
def test_the_radius_is_the_largest_distance_to_what_was_chosen(count, wanted, seed):
    vectors = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    rows, radius = k_center(vectors, wanted, first=seed % count)
    assert len(rows) == len(set(rows.tolist())) == min(count, wanted)
    nearest = torch.cdist(vectors.double(), vectors[rows].double()).min(1).values
    assert radius == pytest.approx(float(nearest.max()), abs=1e-3)


def test_it_covers_better_than_a_random_choice():
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(400, 4, generator=random)
    chosen = k_center(vectors, 20, first=0)[1]
    drawn = vectors[torch.randperm(400, generator=random)[:20]]
    assert chosen < float(torch.cdist(vectors, drawn).min(1).values.max())
