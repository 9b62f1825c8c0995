"""What the tool ``thop`` prints for our networks, which is what the papers' tables hold."""

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from defectbench.base.methods import load_card, load_method, method_names
from defectbench.nn.fold import fold_all

MODELS = Path(__file__).parents[2] / "models"
NORMS = (
    torch.ops.aten.native_batch_norm.default,
    torch.ops.aten._native_batch_norm_legit_no_training.default,
)
# Their reference resizes by a function, and the tool sees modules only
UNSEEN_RESIZE = {"nanodet_m"}
CARDS = {name: load_card(MODELS / name) for name in method_names(MODELS)}
CASES = [(name, size) for name, card in CARDS.items() for size in card.golden.thop_m]


class ThopCount(TorchDispatchMode):
    """Adds up, while a network runs in eval mode, operations of one image.

    One per multiply-add of a convolution, 4 per element of a batch norm that is not folded, 11 per
    element that a bilinear resize gives.
    """

    def __init__(self, per_resize=11):
        super().__init__()
        self.total, self.per_resize = 0, per_resize

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.total += out.numel() * args[1][0].numel()
        elif func in NORMS:
            self.total += 4 * out[0].numel()
        elif func is torch.ops.aten.upsample_bilinear2d.default:
            self.total += self.per_resize * out.numel()
        return out


@pytest.mark.parametrize(("name", "size"), CASES)
def test_thop_counts_to_the_printed_digit(name, size):
    method = load_method(name, MODELS)
    detector = method.module.build(method.card.golden.nc, **method.recipe.options)
    for part in detector.training_only:
        setattr(detector, part, None)
    network = fold_all(detector, norms=False)
    with torch.no_grad(), ThopCount(0 if name in UNSEEN_RESIZE else 11) as count:
        network(torch.rand(1, 3, size, size))
    assert round(count.total / 1e6, 3) == method.card.golden.thop_m[size]
