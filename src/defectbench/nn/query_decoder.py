"""The decoder of the smallest DEIMv2 (Huang et al., arXiv 2509.20787), after D-FINE (Peng et al., ICLR 2025).

Cells that are likeliest to hold an object become queries. Three layers let them see one another and points of the maps,
and refine their boxes: each side by a distribution over distances from a box that the first layer fixes. What layers
say of the distributions is added up, so that a later one corrects an earlier one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import PredictionLinear
from .deformable import DeformableAttention
from .functional import is_exporting
from .heads import PRIOR_BIAS

HEADS, LAYERS = 8, 3
POINTS = (4, 2)  # of a head, by map
BINS = 33  # of a side's distribution
SHARPEST = 4  # highest probabilities of a side that tell how sure it is
FIRST_SIDE = (
    0.05  # of a cell's box at the finer map, as a share of the image; twice that at the coarser
)
INSIDE = 0.01  # a cell whose box is nearer to 0 or 1 than this is no candidate
TIE = 2e-5  # logits by which a cell must score more than the one before it to be taken first
FARTHEST = 11.5129  # logit of 1 - 1e-5, beyond which boxes are no logits
FAR_POSITION, FAR_FEATURE = 10.0, 65504.0


def mlp(c_in: int, width: int, outputs: int, layers: int = 3) -> nn.Sequential:
    """Linear layers with SiLU between; the last one predicts."""
    steps: list[nn.Module] = []
    for n in range(layers - 1):
        steps += [nn.Linear(c_in if n == 0 else width, width), nn.SiLU()]
    return nn.Sequential(*steps, PredictionLinear(width, outputs))


def zero_last(network: nn.Sequential) -> nn.Sequential:
    """The same network, whose last layer says zero at the start."""
    for parameter in network[-1].parameters():
        nn.init.zeros_(parameter)
    return network


def class_layer(width: int, nc: int) -> PredictionLinear:
    """Class logits, which start at a probability of 0.01."""
    layer = PredictionLinear(width, nc)
    nn.init.constant_(layer.bias, PRIOR_BIAS)
    return layer


# --- boxes ----------------------------------------------------------------------------------------


class SideBins(nn.Module):
    """Distances that the bins of a side's distribution stand for: close together near zero, far apart at the ends.

    The two frozen scalars are parameters as in the reference: ``up`` bounds the distances, ``scale`` is their unit,
    four to a side of the box.
    """

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.tensor([0.5]), requires_grad=False)
        self.scale = nn.Parameter(torch.tensor([4.0]), requires_grad=False)

    def table(self) -> Tensor:
        """Distances [bins], in quarters of the box's side, rising."""
        bound = self.up * self.scale
        powers = torch.arange(1, BINS // 2, device=bound.device)
        steps = (bound + 1) ** (2 * powers / (BINS - 3)) - 1
        right = torch.cat((steps, 2 * bound))
        return torch.cat((-right.flip(0), torch.zeros_like(bound), right))

    def forward(self, sides: Tensor, boxes: Tensor) -> Tensor:
        """Boxes of distributions; see ``boxes_of_bins``."""
        return boxes_of_bins(sides, boxes, self.table(), self.scale)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The same with the table as it is."""
        return FixedBins(self.table(), self.scale)


class FixedBins(nn.Module):
    """``SideBins`` deployed.

    Args:
        table: Distances [bins].
        scale: Their unit, [1].
    """

    table: Tensor
    scale: Tensor

    def __init__(self, table: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.detach().clone(), persistent=False)
        self.register_buffer("scale", scale.detach().clone(), persistent=False)

    def forward(self, sides: Tensor, boxes: Tensor) -> Tensor:
        return boxes_of_bins(sides, boxes, self.table, self.scale)


def boxes_of_bins(sides: Tensor, boxes: Tensor, table: Tensor, scale: Tensor) -> Tensor:
    """Boxes [..., 4] (centre and sides) that distributions make of other boxes.

    Args:
        sides: Logits [..., 4 * bins]: left, top, right, bottom.
        boxes: [..., 4], centre and sides, which distances of zero give back.
        table: Distances [bins].
        scale: [1], how many of the distances' units a side has.
    """
    shares = sides.unflatten(-1, (4, BINS)).softmax(-1)
    return moved_boxes(boxes, (shares * table).sum(-1), scale)


def moved_boxes(boxes: Tensor, distances: Tensor, scale: Tensor) -> Tensor:
    """Boxes [..., 4] (centre and sides) with each side moved outwards by a distance, in shares 1 / scale of the box."""
    centre, size = boxes.split(2, -1)
    low, high = distances.split(2, -1)
    unit = size / scale
    corner, opposite = centre - (scale / 2 + low) * unit, centre + (scale / 2 + high) * unit
    return torch.cat(((corner + opposite) / 2, opposite - corner), -1)


class ClassHead(nn.Module):
    """Class logits of a layer, raised or lowered by how sharp the distributions of the box are.

    Args:
        width: Channels in.
        nc: Number of classes.
    """

    def __init__(self, width: int, nc: int) -> None:
        super().__init__()
        self.classes = class_layer(width, nc)
        self.quality = zero_last(mlp(4 * (SHARPEST + 1), 64, 1, 2))

    def forward(self, x: Tensor, sides: Tensor) -> Tensor:
        """Logits [..., nc] of features [..., C] and distributions [..., 4 * bins]."""
        shares = sides.unflatten(-1, (4, BINS)).softmax(-1).topk(SHARPEST, -1).values
        sharpness = torch.cat((shares, shares.mean(-1, keepdim=True)), -1).flatten(-2)
        return self.classes(x) + self.quality(sharpness)


# --- layers ---------------------------------------------------------------------------------------


class SelfAttention(nn.Module):
    """Queries look at one another; positions are part of who asks and who answers, not of what is said.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asked = nn.Linear(width, 2 * width)
        self.told = nn.Linear(width, width)
        self.leave = nn.Linear(width, width)
        bound = math.sqrt(6 / (4 * width))  # Xavier's, of the three as one matrix
        for layer in (self.asked, self.told):
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None) -> Tensor:
        """Of x and positions [B, T, C]; mask bool [T, T] says who may look at whom."""
        queries, keys = self.asked(x + position).chunk(2, -1)
        parts = [self._heads(part) for part in (queries, keys, self.told(x))]
        out = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
        return self.leave(out.transpose(1, 2).flatten(2))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class SwiGLU(nn.Module):
    """Feed-forward whose inner values are gated: SiLU of one half times the other.

    Args:
        width: Channels in and out.
        inner: Channels inside.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * inner)
        self.leave = nn.Linear(inner, width)
        for layer in (self.enter, self.leave):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.enter(x).chunk(2, -1)
        return self.leave(F.silu(gate) * value)


class DecoderLayer(nn.Module):
    """Self-attention, deformable attention to the maps, feed-forward; a norm after each sum.

    Args:
        width: Channels.
        inner: Channels inside the feed-forward.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.attend = SelfAttention(width)
        self.look = DeformableAttention(width, HEADS, POINTS)
        self.feed = SwiGLU(width, inner)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        boxes: Tensor,
        maps: Sequence[Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        x = self.norms[0](x + self.attend(x, position, mask))
        x = self.norms[1](x + self.look(x + position, boxes, maps))
        return self.norms[2]((x + self.feed(x)).clamp(-FAR_FEATURE, FAR_FEATURE))


def start_xavier(network: nn.Sequential) -> nn.Sequential:
    """The same network, whose linear layers start as Xavier's; biases stay."""
    for module in network:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    return network


# --- decoder --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queries:
    """What the decoder starts from.

    Attributes:
        content: [B, Q, C].
        boxes: [B, Q, 4], centre and sides as logits of shares of the image.
        classes: Class logits [B, Q, nc] of the cells.
    """

    content: Tensor
    boxes: Tensor
    classes: Tensor


@dataclass(frozen=True)
class LayerOutput:
    """What one layer says.

    Attributes:
        boxes: [B, Q, 4], centre and sides as shares of the image.
        classes: Class logits [B, Q, nc].
    """

    boxes: Tensor
    classes: Tensor


class QueryDecoder(nn.Module):
    """Maps at strides 16 and 32 to boxes and classes of queries.

    Args:
        nc: Number of classes.
        width: Channels of the maps.
        inner: Channels inside the feed-forward.
        queries: Most queries; an input with fewer cells has as many as cells.
    """

    def __init__(self, nc: int, width: int, inner: int, queries: int) -> None:
        super().__init__()
        self.queries = queries
        self.cell_classes = class_layer(width, nc)
        self.cell_boxes = zero_last(mlp(width, width, 4))
        self.positions = start_xavier(mlp(4, width, width))
        self.layers = nn.ModuleList(DecoderLayer(width, inner) for _ in range(LAYERS))
        self.first_boxes = zero_last(mlp(width, width, 4))
        self.sides = zero_last(mlp(width, width, 4 * BINS))
        self.bins = SideBins()
        self.last = ClassHead(width, nc)

    def select(self, maps: Sequence[Tensor]) -> Queries:
        """The cells that are likeliest to hold an object, in the order of the cells.

        Their order has no meaning; in that of their scores, two engines would put cells that score alike in either. Of
        cells that score alike to rounding, as on a blank image, the first ones are taken.
        """
        cells = torch.cat([x.flatten(2) for x in maps], 2).transpose(1, 2)
        sizes = tuple((x.shape[-2], x.shape[-1]) for x in maps)
        boxes, are_all_inside = cell_boxes(sizes, cells.device)
        if not are_all_inside:
            cells = cells * boxes.isfinite().all(-1, keepdim=True)
        classes = self.cell_classes(cells)
        count = min(self.queries, cells.shape[1])
        likely = classes.detach().amax(-1)
        likely = likely - TIE * torch.arange(cells.shape[1], device=cells.device)
        best = likely.topk(count, 1).indices.sort(1).values
        content, chosen = rows_of(cells, best), rows_of(classes, best)
        start = F.embedding(best, boxes.squeeze(0))
        return Queries(content, self.cell_boxes(content) + start, chosen)

    def refine(
        self,
        queries: Tensor,
        boxes: Tensor,
        maps: Sequence[Tensor],
        mask: Tensor | None = None,
        early: Sequence[ClassHead] = (),
    ) -> list[LayerOutput]:
        """What the layers say, the last one's answer last.

        Args:
            queries: Content [B, T, C].
            boxes: [B, T, 4], logits of shares of the image.
            maps: [B, C, H, W] each.
            mask: Bool [T, T], who may look at whom; all at all without one.
            early: Class heads of the layers before the last. With them, the box that the first layer fixes is an
                answer, too, the first one.
        """
        heads = [*(early or [None] * (LAYERS - 1)), self.last]
        logits = boxes.clamp(-FARTHEST, FARTHEST)
        seen = logits.sigmoid()
        position = self.positions(seen).clamp(-FAR_POSITION, FAR_POSITION)
        answers: list[LayerOutput] = []
        x, before, sides, fixed = queries, None, None, seen
        for layer, head in zip(self.layers, heads, strict=True):
            x = layer(x, position, seen, maps, mask)
            if before is None:
                first = (self.first_boxes(x) + logits).sigmoid()
                fixed = first.detach()
                if head is not None:
                    answers.append(LayerOutput(first, head.classes(x)))
            told = self.sides(x if before is None else x + before.detach())
            sides = told if sides is None else sides + told
            placed = self.bins(sides, fixed)
            if head is not None:
                answers.append(LayerOutput(placed, head(x, sides)))
            seen, before = placed.detach(), x
        return answers


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Rows [B, Q, C] of values [B, N, C]. Repeated, not expanded: an exported graph then knows no number of images."""
    return values.gather(1, rows.unsqueeze(-1).repeat(1, 1, values.shape[-1]))


def cell_boxes(
    sizes: tuple[tuple[int, int], ...], device: torch.device | str
) -> tuple[Tensor, bool]:
    """Boxes [1, N, 4] that the cells of maps start from, as logits, finest map first, and whether all are candidates.

    A cell too near to the border, as only inputs of many hundreds of pixels have them, has infinite ones. Made once and
    kept, but for what is made while a network is traced, which can serve nothing else.

    Args:
        sizes: Rows and columns of the maps.
        device: Where they are made.
    """
    return (_made_cell_boxes if is_exporting() else _kept_cell_boxes)(sizes, device)


def _made_cell_boxes(
    sizes: tuple[tuple[int, int], ...], device: torch.device | str
) -> tuple[Tensor, bool]:
    levels = []
    with torch.inference_mode(mode=False):  # a tensor made in inference mode cannot serve training
        for level, (rows, columns) in enumerate(sizes):
            across = (torch.arange(columns, device=device) + 0.5) / columns
            down = (torch.arange(rows, device=device) + 0.5) / rows
            y, x = torch.meshgrid(down, across, indexing="ij")
            side = torch.full_like(x, FIRST_SIDE * 2**level)
            levels.append(torch.stack((x, y, side, side), -1).view(-1, 4))
        shares = torch.cat(levels)
        inside = ((shares > INSIDE) & (shares < 1 - INSIDE)).all(-1, keepdim=True)
        boxes = torch.where(inside, (shares / (1 - shares)).log(), torch.inf)
    nearest = min(0.5 / side for size in sizes for side in size)
    return boxes.unsqueeze(0), nearest > INSIDE


_kept_cell_boxes = lru_cache(maxsize=32)(_made_cell_boxes)
