"""The Lite Vision Transformer: counts of its stages, and its attention against plain code."""

import pytest
import torch
import torch.nn.functional as F
from tests.counting import size_of
from tests.networks import piece

LVT = piece("sd_gasnet", "lvt")
LiteTransformer, ReducedAttention = LVT.LiteTransformer, LVT.ReducedAttention
WindowAttention, added_up, windows = LVT.WindowAttention, LVT.added_up, LVT.windows


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_parameters_of_each_stage():
    stages = LiteTransformer().stages
    norms = [size_of(stage.norm) for stage in stages]
    assert sum(norms) == 1_088
    bare = [size_of(stage) - norm for stage, norm in zip(stages, norms, strict=True)]
    assert bare == [100_418, 190_720, 928_800, 1_967_872]
    assert size_of(LiteTransformer()) == 3_188_898
    assert size_of(LiteTransformer((2, 2, 2, 2))) == 3_427_460


@pytest.mark.parametrize(("height", "width"), [(224, 224), (64, 96), (256, 352)])
def test_maps_lie_at_strides_4_to_32(height, width):
    with torch.no_grad():
        maps = LiteTransformer().eval()(torch.rand(1, 3, height, width))
    expected = [
        (1, c, height // s, width // s)
        for c, s in zip((64, 64, 160, 256), (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(x.shape) for x in maps] == expected


def test_windows_are_those_of_unfold():
    x = torch.rand(2, 6, 8, 5, dtype=torch.float64)
    plain = F.unfold(x.permute(0, 3, 1, 2), 3, padding=1, stride=2)  # [B, C * 9, L]
    plain = plain.view(2, 5, 9, 3, 4).permute(0, 2, 3, 4, 1)
    assert torch.equal(windows(x), plain)


def test_windows_add_up_as_fold_does():
    cells = torch.rand(2, 9, 3, 4, 5, dtype=torch.float64)
    columns = cells.permute(0, 4, 1, 2, 3).reshape(2, 45, 12)
    plain = F.fold(columns, (6, 8), 3, padding=1, stride=2).permute(0, 2, 3, 1)
    torch.testing.assert_close(added_up(cells), plain, rtol=1e-14, atol=1e-14)


def test_window_attention_agrees_with_plain_code():
    height, width, channels, heads = 4, 6, 6, 2
    layer = WindowAttention(channels, heads).double()
    x = torch.randn(2, height, width, channels, dtype=torch.float64)
    whole = torch.zeros_like(x)
    for b in range(2):
        for i in range(height // 2):
            for j in range(width // 2):
                spot = x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1))
                scores = layer.weigh(spot).view(heads, 9, 9) * (channels // heads) ** -0.5
                places = [(2 * i + r, 2 * j + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
                inside = [0 <= y < height and 0 <= u < width for y, u in places]
                zero = torch.zeros(channels, dtype=torch.float64)
                values = [
                    (x[b, y, u] if ok else zero) @ layer.values[cell]
                    for cell, ((y, u), ok) in enumerate(zip(places, inside, strict=True))
                ]
                values = torch.stack(values).view(9, heads, -1)
                for head in range(heads):
                    mixed = scores[head].softmax(-1) @ values[:, head]
                    of_head = slice(3 * head, 3 * head + 3)
                    for cell, ((y, u), ok) in enumerate(zip(places, inside, strict=True)):
                        if ok:
                            whole[b, y, u, of_head] += mixed[cell]
    torch.testing.assert_close(layer(x), layer.project(whole), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", [1, 2])
def test_reduced_attention_agrees_with_plain_code(reduction):
    layer = ReducedAttention(8, 2, reduction).double()
    x = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    seen = x
    if layer.reduce is not None:
        seen = layer.norm(layer.reduce(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    key, value = layer.key_value(seen).split(8, -1)
    mixed = torch.zeros_like(x)
    for b in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            keys, values = key[b, ..., head].reshape(-1, 4), value[b, ..., head].reshape(-1, 4)
            for i in range(4):
                for j in range(6):
                    query = layer.query(x[b, i, j])[head]
                    shares = torch.stack([query @ k / 2 for k in keys]).softmax(0)
                    mixed[b, i, j, head] = shares @ values
    torch.testing.assert_close(layer(x), layer.project(mixed), rtol=1e-12, atol=1e-12)
