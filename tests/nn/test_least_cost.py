"""Pairs of least cost: against scipy, by hand, and on a device that is not asked."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from defectbench.nn import waiting
from defectbench.nn.least_cost import least_cost_pairs


def total(cost, columns, paired):
    """Cost of the pairs of one problem; its columns are different ones."""
    rows = paired.nonzero()[:, 0]
    chosen = columns[rows]
    assert len(set(chosen.tolist())) == len(rows)
    return float(cost[rows, chosen].double().sum())


@pytest.fixture(params=["asked", "not asked"])
def device_is(request, monkeypatch):
    if request.param == "not asked":
        monkeypatch.setattr(waiting, "HOSTS", frozenset())


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 7), (4, 4), (6, 45), (9, 12), (12, 5), (30, 20)]
)
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_pairs_cost_as_little_as_those_of_scipy(rows, columns, scale, device_is):
    made = torch.Generator().manual_seed(rows * 100 + columns)
    cost = (torch.rand(40, rows, columns, generator=made) - 0.5) * scale
    counted = torch.rand(40, rows, generator=made) < 0.7
    found, paired = least_cost_pairs(cost, counted)
    for n in range(len(cost)):
        some = cost[n][counted[n]]
        row, column = linear_sum_assignment(some.double().numpy())
        assert not (paired[n] & ~counted[n]).any()
        assert paired[n].sum() == len(row)
        best = float(some.double().numpy()[row, column].sum())
        assert total(cost[n], found[n], paired[n]) == pytest.approx(best, abs=1e-9 * scale)


def test_equal_costs_are_paired_as_well():
    found, paired = least_cost_pairs(torch.zeros(3, 5, 5), torch.ones(3, 5, dtype=torch.bool))
    assert paired.all()
    assert found.sort(1).values.tolist() == [[0, 1, 2, 3, 4]] * 3


def test_a_row_moves_another_that_loses_less():
    cost = torch.tensor([[[0.0, 1, 9], [0, 5, 9], [0, 1, 2]]])
    assert least_cost_pairs(cost, torch.ones(1, 3, dtype=torch.bool))[0].tolist() == [[1, 0, 2]]


@pytest.mark.parametrize("shape", [(2, 4), (4, 2)])
def test_no_row_to_be_paired(shape):
    found, paired = least_cost_pairs(torch.rand(2, *shape), torch.zeros(2, shape[0]).bool())
    assert not paired.any()
    assert not found.any()
