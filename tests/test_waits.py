"""The watch over operations that would wait for a device sees them."""

import pytest
import torch

from tests.waits import Moves, Waits

X = torch.arange(6.0)


@pytest.mark.parametrize(
    ("ask", "operation"),
    [
        (lambda: X.sum().item(), "_local_scalar_dense"),
        (lambda: float(X[1]), "_local_scalar_dense"),
        (lambda: bool((X > 2).any()), "_local_scalar_dense"),
        (lambda: X[X > 2], "index"),
        (lambda: X.clone().index_put_((X > 2,), torch.zeros(())), "index_put_"),
        (lambda: (X > 2).nonzero(), "nonzero"),
        (lambda: X.masked_select(X > 2), "masked_select"),
        (lambda: X.unique(), "_unique2"),
        (lambda: X.unique_consecutive(), "unique_consecutive"),
        (lambda: torch.tensor([1.0]), "lift_fresh"),
        (lambda: torch.linalg.inv(torch.eye(2)), "_linalg_check_errors"),
        (lambda: torch.equal(X, X), "equal"),
        (lambda: X.long().bincount(), "bincount"),
        (lambda: X[:2].repeat_interleave(X[:2].long()), "repeat_interleave"),
    ],
)
def test_an_asking_operation_is_noted(ask, operation):
    with Waits() as waits:
        ask()
    assert operation in {name for name, _ in waits.seen}


def test_what_asks_for_nothing_is_not_noted():
    rows = torch.tensor([3, 1])
    with Waits() as waits:
        X[rows] + X[:2].where(X[:2] > 0, 1.0).sum()
        X.clone().index_put_((rows,), X.new_ones(()))
        X.repeat_interleave(2)
    assert waits.seen == []


def test_copies_between_devices_are_noted_and_no_others():
    with Moves() as moves:
        X.to("meta")
        X.double().copy_(X)
    assert len(moves.seen) == 1
