"""FastestDet: counts part by part, decoding by hand, losses as published and against plain code, cells at the border."""

import math
from pathlib import Path

import pytest
import torch
from tests.counting import conv_macs_m, size_of

from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets
from defectbench.nn.waiting import Rows

MODULE = load_method("fastestdet", Path(__file__).parents[2] / "models").module
assert MODULE is not None
SIDE = 96  # six cells


def truth(*rows, side=SIDE):
    """One image with boxes (class, centre and sides as shares of the side)."""
    boxes = [
        [side * v for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)] for _, x, y, w, h in rows
    ]
    labels = [row[0] for row in rows]
    return Targets(torch.tensor([boxes]).view(1, -1, 4), torch.tensor([labels], dtype=torch.long))


FIRST, SECOND = (1, 0.55, 0.45, 0.3, 0.25), (2, 0.05, 0.5, 0.1, 0.2)


def flat(nc=3, batch=1, objectness=0.1):
    """A raw output of boxes and classes that say nothing."""
    raw = torch.zeros(batch, 36, 5 + nc)
    raw[..., 0] = math.log(objectness / (1 - objectness))
    return raw


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert size_of(model.backbone) == 143_136
    chains = [size_of(chain) for chain in model.neck.chains]
    assert [size_of(model.neck.enter), *chains, size_of(model.neck.leave)] == [
        *(32_448, 2_592, 5_184, 7_776, 27_840)
    ]
    head = model.head
    parts = (head.enter, head.objectness, head.boxes, head.classes)
    assert [size_of(part) for part in parts] == [9_408, 2_690, 2_984, 2_592 + 98 * 6]


@pytest.mark.parametrize(("nc", "parameters"), [(6, 237_238), (7, 237_336), (80, 244_490)])
def test_parameters_and_tensors_by_classes(nc, parameters):
    model = MODULE.build(nc)
    assert size_of(model) == parameters
    assert len(model.state_dict()) == 420


@pytest.mark.parametrize(("size", "macs"), [(192, 36_146_304), (352, 121_491_744)])
def test_multiply_adds_at_eighty_classes(size, macs):
    assert round(conv_macs_m(MODULE.build(80).deploy(), size) * 1e6) == macs


def test_join_pools_the_finer_map_with_its_padding_and_enlarges_the_coarser_one():
    fine, middle, coarse = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1, 1)
    joined = MODULE.Join()([fine, middle, coarse * 5])[0]
    assert torch.allclose(joined[0], torch.tensor([[4, 6], [6, 9]]) / 9)
    assert torch.equal(joined[2], torch.full((2, 2), 5.0))


def test_decoding_by_hand():
    raw = torch.randn(1, 36, 7, generator=torch.Generator().manual_seed(0))
    boxes, scores = MODULE.build(2).decode(raw, SIDE, SIDE)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    for cell in (0, 8, 35):
        objectness, a, b, c, d, *classes = raw[0, cell].tolist()
        x, y = 16 * (cell % 6 + math.tanh(a)), 16 * (cell // 6 + math.tanh(b))
        w, h = SIDE * sigmoid(c), SIDE * sigmoid(d)
        expected = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        assert boxes[0, cell].tolist() == pytest.approx(
            [min(max(v, 0), SIDE) for v in expected], abs=1e-3
        )
        shares = [math.exp(z) / sum(map(math.exp, classes)) for z in classes]
        assert scores[0, cell].tolist() == pytest.approx(
            [sigmoid(objectness) ** 0.6 * p**0.4 for p in shares], abs=1e-6
        )


@pytest.mark.parametrize(
    ("rows", "box", "objectness", "entropy", "total"),
    [
        ((FIRST, SECOND), 0.763302, 0.005738, 1.098612, 7.296845),
        ((FIRST,), 0.742812, 0.006658, 1.098612, 7.147639),
        ((), 0.0, 0.00375, 0.0, 0.06),
    ],
)
def test_losses_are_those_of_the_reference(rows, box, objectness, entropy, total):
    parts = MODULE.build(3, border_cells=False).losses(flat(), truth(*rows), SIDE, SIDE)
    wanted = {"siou": 8 * box, "obj": 16 * objectness, "ce": entropy}
    assert {name: float(value) for name, value in parts.items()} == pytest.approx(wanted, abs=1e-5)
    assert sum(map(float, parts.values())) == pytest.approx(total, abs=2e-5)


def cells_of(pairs):
    return [(cell % 6, cell // 6) for cell in pairs.cell.tolist()]


def test_candidates_are_the_cell_of_the_centre_and_three_neighbours():
    inner = [(3, 2), (4, 2), (3, 3), (4, 3)]
    assert cells_of(MODULE.candidates_of(truth(FIRST, SECOND), SIDE, SIDE, False)) == [
        *inner,
        *((1, 3), (1, 4)),
    ]
    assert cells_of(MODULE.candidates_of(truth(FIRST, SECOND), SIDE, SIDE)) == [
        *inner,
        *((0, 3), (1, 3), (0, 4), (1, 4)),
    ]
    corner = (0, 0.98, 0.99, 0.02, 0.02)
    assert cells_of(MODULE.candidates_of(truth(corner), SIDE, SIDE)) == [(5, 5)]


def test_a_batch_of_boxes_at_the_border_alone_is_learnt_unless_the_option_says_no():
    at_border = truth((0, 0.02, 0.02, 0.03, 0.03))
    learnt = MODULE.build(3).losses(flat(), at_border, SIDE, SIDE)
    assert float(learnt["siou"]) > 0
    # one neighbour, across, is not in the first row or column
    reference = MODULE.build(3, border_cells=False).losses(flat(), at_border, SIDE, SIDE)
    assert all(value.isfinite() for value in reference.values())


def test_a_box_that_is_placed_exactly_has_a_finite_gradient():
    raw = flat().requires_grad_()
    # half the image wide, centre on the corner of a cell
    parts = MODULE.build(3).losses(raw, truth((0, 0.5, 0.5, 0.5, 0.5)), SIDE, SIDE)
    sum(parts.values()).backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


def test_equal_overlaps_all_learn_and_worse_ones_do_not():
    every = Rows(None)
    assert MODULE.chosen_pairs(torch.full((3,), 0.1), every).tolist() == [True] * 3
    assert MODULE.chosen_pairs(torch.tensor([0.1, 0.2, 0.9]), every).tolist() == [
        False,
        False,
        True,
    ]
    held = Rows(torch.tensor([True, True, False]))
    assert MODULE.chosen_pairs(torch.tensor([0.1, 0.2, 0.9]), held).tolist() == [False, True, False]


def test_a_cell_that_learns_two_boxes_says_how_well_it_places_the_better_one():
    pairs = MODULE.Candidates(*torch.tensor([[0, 0, 0], [4, 4, 7], [0, 1, 1]]), Rows(None))
    wanted, weight = MODULE.cell_targets(
        torch.tensor([0.3, 0.6, 0.2]), torch.tensor([True, True, False]), pairs, torch.zeros(2, 36)
    )
    assert float(wanted[0, 4]) == pytest.approx(0.6)
    assert wanted.count_nonzero() == 1
    assert float(weight[0, 4]) == pytest.approx(0.25 * 36 / 2)
    assert float(weight[0, 7]) == float(weight[1, 4]) == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_pairs_that_do_not_count_change_nothing(seed, monkeypatch):
    """As on a device that does not answer at once, where every entry is a row."""
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(2, 36, 8, generator=made)
    low = torch.rand(2, 4, 2, generator=made) * 70
    boxes = torch.cat((low, low + 5 + torch.rand(2, 4, 2, generator=made) * 20), -1)
    labels = torch.randint(-1, 3, (2, 4), generator=made)
    model = MODULE.build(3)
    known = model.losses(raw, Targets(boxes, labels), SIDE, SIDE)
    monkeypatch.setattr("defectbench.nn.waiting.answers_at_once", lambda _: False)
    waiting = model.losses(raw, Targets(boxes, labels), SIDE, SIDE)
    for name, value in known.items():
        torch.testing.assert_close(waiting[name], value, rtol=1e-5, atol=1e-6)
