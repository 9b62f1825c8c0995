"""The decoder of DEIMv2: bins and boxes by hand, which cells become queries, parameters of each part, a fresh network."""

import pytest
import torch
from tests.counting import size_of

from defectbench.nn.deimv2 import ATTO, FEMTO, PICO
from defectbench.nn.query_decoder import (
    ClassHead,
    QueryDecoder,
    SelfAttention,
    SideBins,
    SwiGLU,
    cell_boxes,
    moved_boxes,
)

RIGHT = [
    *(0.075990, 0.157754, 0.245731, 0.340393, 0.442249, 0.551845, 0.669770, 0.796655),
    *(0.933182, 1.080083, 1.238148, 1.408224, 1.591224, 1.788130, 2, 4),
]


def test_distances_of_the_bins():
    table = SideBins().table()
    assert table.tolist() == pytest.approx([*(-d for d in reversed(RIGHT)), 0, *RIGHT], abs=1e-6)


def test_sides_move_outwards_by_quarters_of_the_box():
    box = torch.tensor([0.5, 0.5, 0.2, 0.4])
    moved = moved_boxes(box, torch.tensor([1, -0.5, 0.25, 2]), torch.tensor([4.0]))
    assert moved.tolist() == pytest.approx([0.48125, 0.625, 0.2625, 0.55])
    assert torch.allclose(moved_boxes(box, torch.zeros(4), torch.tensor([4.0])), box)


def test_a_distribution_says_its_mean():
    logits = torch.full((4, 33), -1e4)
    logits[0, 16], logits[1, 31], logits[2, 17], logits[3, 15:17] = 0, 0, 0, 0
    box = torch.tensor([0.5, 0.5, 0.4, 0.4])
    distances = torch.tensor([0, 2, RIGHT[0], -RIGHT[0] / 2])
    bins = SideBins()
    expected = moved_boxes(box, distances, torch.tensor([4.0]))
    assert torch.allclose(bins(logits.flatten(), box), expected, atol=1e-6)
    assert torch.allclose(bins.folded()(logits.flatten(), box), expected, atol=1e-6)


def test_the_quality_of_a_box_is_read_from_its_four_highest_shares():
    head = ClassHead(8, 3)
    head.quality = torch.nn.Identity()  # shows what it is given
    sides = torch.randn(4 * 33)
    head.classes.weight.data.zero_()
    head.classes.bias.data.zero_()
    head.classes = torch.nn.Linear(8, 20)
    torch.nn.init.zeros_(head.classes.weight)
    torch.nn.init.zeros_(head.classes.bias)
    shares = sides.view(4, 33).softmax(-1).sort(-1, descending=True).values[:, :4]
    expected = torch.cat((shares, shares.mean(-1, keepdim=True)), -1).flatten()
    assert torch.allclose(head(torch.zeros(8), sides), expected)


@pytest.mark.parametrize(
    ("widths", "attend", "look", "feed", "layer", "mlps"),
    [
        (ATTO, 16_640, 9_360, 15_584, 41_776, (8_580, 8_580, 8_640, 16_900)),
        (FEMTO, 37_248, 13_968, 37_216, 88_720, (19_012, 19_012, 19_104, 31_428)),
        (PICO, 50_624, 16_272, 54_192, 121_424, (25_764, 25_764, 25_872, 40_228)),
    ],
    ids=["atto", "femto", "pico"],
)
def test_parameters_of_each_part(widths, attend, look, feed, layer, mlps):
    net = QueryDecoder(6, widths.width, widths.inner, 50)
    for each in net.layers:
        assert (size_of(each.attend), size_of(each.look), size_of(each.feed)) == (
            attend,
            look,
            feed,
        )
        assert size_of(each) == layer
    found = (net.cell_boxes, net.first_boxes, net.positions, net.sides)
    assert tuple(size_of(part) for part in found) == mlps
    assert size_of(net.last.quality) == 1_409
    assert size_of(net.cell_classes) == size_of(net.last.classes) == 6 * widths.width + 6
    assert size_of(net.bins) == 2


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    own, other = SelfAttention(16), torch.nn.MultiheadAttention(16, 8, batch_first=True)
    other.in_proj_weight.data.copy_(torch.cat((own.asked.weight, own.told.weight)))
    other.in_proj_bias.data.copy_(torch.cat((own.asked.bias, own.told.bias)))
    other.out_proj.load_state_dict(own.leave.state_dict())
    x, position = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    mask = torch.rand(5, 5) < 0.5
    mask.fill_diagonal_(True)
    asked = x + position
    expected, _ = other(asked, asked, x, attn_mask=~mask)
    assert torch.allclose(own(x, position, mask), expected, atol=1e-6)


def test_feed_forward_gates_the_second_half():
    feed = SwiGLU(2, 1)
    for layer, values in ((feed.enter, [[1.0, 0], [0, 1]]), (feed.leave, [[1.0], [2.0]])):
        layer.weight.data.copy_(torch.tensor(values))
    gated = 3 * torch.tensor(3.0).sigmoid() * 5
    assert torch.allclose(feed(torch.tensor([3.0, 5.0])), torch.stack((gated, 2 * gated)))


def test_cells_start_from_boxes_about_their_centres():
    boxes, are_all_inside = cell_boxes(((2, 4), (1, 2)), "cpu")
    shares = boxes[0].sigmoid()
    assert are_all_inside
    assert shares[0].tolist() == pytest.approx([0.125, 0.25, 0.05, 0.05])
    assert shares[5].tolist() == pytest.approx([0.375, 0.75, 0.05, 0.05])
    assert shares[9].tolist() == pytest.approx([0.75, 0.5, 0.1, 0.1])


def test_cells_too_near_to_the_border_are_no_candidates():
    boxes, are_all_inside = cell_boxes(((1, 64),), "cpu")
    assert not are_all_inside
    assert (~boxes.isfinite().all(-1))[0].nonzero().flatten().tolist() == [0, 63]
    assert cell_boxes(((50, 50), (25, 25)), "cpu")[1] is False  # 0.5 / 50 is no more than 0.01
    assert cell_boxes(((48, 48), (24, 24)), "cpu")[1]


def test_the_likeliest_cells_are_queries_in_the_order_of_the_cells():
    torch.manual_seed(0)
    net = QueryDecoder(3, 16, 8, queries=5)
    maps = [torch.randn(2, 16, 4, 4), torch.randn(2, 16, 2, 2)]
    cells = torch.cat([x.flatten(2) for x in maps], 2).transpose(1, 2)
    best = net.cell_classes(cells).amax(-1)
    found = net.select(maps)
    for n in range(2):
        chosen = sorted(best[n].argsort(descending=True)[:5].tolist())
        assert torch.equal(found.content[n], cells[n, chosen])
        assert torch.allclose(found.classes[n], net.cell_classes(cells[n, chosen]))
        assert torch.allclose(found.boxes[n], cell_boxes(((4, 4), (2, 2)), "cpu")[0][0, chosen])


def test_of_equal_cells_the_first_are_taken():
    net = QueryDecoder(3, 16, 8, queries=4)
    cells = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 16, 4, 4)
    torch.nn.init.zeros_(net.cell_classes.weight)
    assert net.select([cells, torch.ones(1, 16, 2, 2)]).content[0, :, 0].tolist() == [0, 1, 2, 3]


def test_fewer_cells_than_queries_are_all_taken():
    net = QueryDecoder(3, 16, 8, queries=50)
    maps = [torch.randn(1, 16, 2, 2), torch.randn(1, 16, 1, 1)]
    assert net.select(maps).content.shape == (1, 5, 16)


def test_large_maps_have_finite_answers_and_gradients():
    torch.manual_seed(0)
    net = QueryDecoder(3, 16, 8, queries=4000)
    maps = [torch.randn(1, 16, 1, 64), torch.randn(1, 16, 1, 32)]
    queries = net.select(maps)
    early = [ClassHead(16, 3) for _ in range(2)]
    answers = net.refine(queries.content, queries.boxes, maps, early=early)
    total = sum(answer.boxes.sum() + answer.classes.sum() for answer in answers)
    (total + queries.boxes.sigmoid().sum()).backward()
    assert total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_a_fresh_network_leaves_every_box_where_it_started():
    torch.manual_seed(0)
    net = QueryDecoder(3, 16, 8, queries=6)
    maps = [torch.randn(2, 16, 4, 4), torch.randn(2, 16, 2, 2)]
    queries = net.select(maps)
    answers = net.refine(
        queries.content, queries.boxes, maps, early=[ClassHead(16, 3) for _ in range(2)]
    )
    assert len(answers) == 4
    for answer in answers:
        assert torch.allclose(answer.boxes, queries.boxes.sigmoid(), atol=1e-6)
    assert torch.allclose(queries.classes.sigmoid().mean(), torch.tensor(0.01), atol=0.02)


def test_without_heads_of_early_layers_the_last_answer_is_the_same():
    torch.manual_seed(0)
    net = QueryDecoder(3, 16, 8, queries=6)
    for parameter in net.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    maps = [torch.randn(2, 16, 4, 4), torch.randn(2, 16, 2, 2)]
    queries = net.select(maps)
    (alone,) = net.refine(queries.content, queries.boxes, maps)
    early = [ClassHead(16, 3) for _ in range(2)]
    last = net.refine(queries.content, queries.boxes, maps, early=early)[-1]
    assert torch.equal(alone.boxes, last.boxes)
    assert torch.equal(alone.classes, last.classes)
