"""PatchCore (Roth et al., CVPR 2022) on MobileNetV2: how far patches lie from those of images without a defect.

A patch is one cell of two maps of a frozen network. What is learnt is a bank of patches, chosen from the images of the
training part so that none of theirs is far from it. The score of an image is the largest distance of a patch of it to
the bank; on request it is weighed by how crowded the bank is there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.classifier import initialise
from defectbench.nn.coreset import k_center
from defectbench.nn.fold import fold_all
from defectbench.nn.mobilenet import LAST, feature_layers, full_widths
from defectbench.nn.trainable import Fitted

IMAGENET_CLASSES = 1000
ROWS_AT_ONCE = 1000  # of a bank, whose distances to the others are held at a time


def patch_maps(features: nn.Sequential, layers: Sequence[int], images: Tensor) -> Tensor:
    """Vectors of patches [N, d, h, w] of images [N, 3, S, S]: maps of some layers, smoothed, at the finest one's size.

    Section 3.1: each vector sees its neighbours, here by a plain mean of 3x3.
    """
    maps, x = [], images
    for number, layer in enumerate(features):
        x = layer(x)
        if number in layers:
            maps.append(F.avg_pool2d(x, 3, 1, 1))
    finest = maps[0].shape[-2:]
    larger = [F.interpolate(m, finest, mode="bilinear", align_corners=False) for m in maps[1:]]
    return torch.cat((maps[0], *larger), 1)


def nearest_rows(bank: Tensor, count: int) -> Tensor:
    """Of each vector of a bank [k, d] the rows of the ``count`` nearest ones, itself first; int64 [k, count]."""
    tables = []
    for start in range(0, len(bank), ROWS_AT_ONCE):
        distances = torch.cdist(bank[start : start + ROWS_AT_ONCE], bank)
        distances[range(len(distances)), range(start, start + len(distances))] = -1
        tables.append(distances.topk(count, largest=False).indices)
    return torch.cat(tables)


class PatchScore(nn.Module):
    """The deployed form: images [N, 3, S, S] in 0..1 to the largest distance of a patch to the bank, [N, 1].

    The squared distance to a vector m is ``|p|^2 - 2 p m + |m|^2``: the last two terms are a 1x1 convolution with a
    filter and a bias for each vector. Patches are taken from the bank's mean, which shifts no distance and keeps the
    terms small.

    Args:
        features: Layers of the network up to the last that is used, folded.
        layers: Numbers of those whose maps are taken.
        bank: [k, d], vectors of the bank.
        neighbours: How many vectors of the bank weigh the score, at least 2; 0 for none. With a bank of one vector
            there is nothing to weigh by.
    """

    def __init__(
        self, features: nn.Sequential, layers: Sequence[int], bank: Tensor, neighbours: int = 0
    ) -> None:
        super().__init__()
        self.features, self.layers = features, tuple(layers)
        count, width = bank.shape
        centre = bank.mean(0)
        self.centre: Tensor
        self.register_buffer("centre", centre.view(1, -1, 1, 1))
        self.search = nn.Conv2d(width, count, 1)
        around = bank - centre
        with torch.no_grad():
            self.search.weight.copy_(-2 * around[:, :, None, None])
            assert self.search.bias is not None
            self.search.bias.copy_(around.square().sum(1))
        self.is_weighed = neighbours > 0 and count > 1
        if self.is_weighed:
            self.rows: Tensor
            self.around: Tensor
            self.register_buffer("rows", torch.zeros(1, count, 1, dtype=torch.long))
            self.register_buffer("around", nearest_rows(around, min(neighbours, count)))

    def forward(self, images: Tensor) -> Tensor:
        patches = patch_maps(self.features, self.layers, images) - self.centre
        found, squares = self.search(patches), patches.square().sum(1, keepdim=True)
        nearest = found.amin(1, keepdim=True) + squares
        score = nearest.amax((2, 3)).clamp(min=0).sqrt()
        return score * self._weight(found, squares, nearest) if self.is_weighed else score

    def _weight(self, found: Tensor, squares: Tensor, nearest: Tensor) -> Tensor:
        """Equation 7: 1 less the softmax of the distances of the farthest patch to the vectors around its nearest one.

        Where the bank is crowded around that vector these distances are alike and the weight is large; where the vector
        is a rare one it is the nearest by far, and the weight small.

        Args:
            found: [N, k, h, w], squared distances to the bank less the patches' own squares.
            squares: [N, 1, h, w], those squares.
            nearest: [N, 1, h, w], squared distances to the nearest vector.

        Returns:
            [N, 1], 0..1.
        """
        patch = nearest.flatten(2).argmax(2, keepdim=True)
        to_bank = found.flatten(2).gather(2, patch + self.rows)[:, :, 0]
        near = self.around[to_bank.argmin(1)]
        own = squares.flatten(2).gather(2, patch)[:, :, 0]
        distances = (to_bank.gather(1, near) + own).clamp(min=0).sqrt()
        return 1 - distances.softmax(1)[:, :1]


class PatchCore(Fitted):
    """PatchCore in the form that is fitted; its bank is empty before.

    Args:
        nc: Number of classes of defects, of which nothing is learnt.
        layers: Numbers of the layers whose maps are taken, in ascending order.
        bank: Most vectors of the bank.
        candidates: Patches of the training part, drawn at random, that the bank is chosen from.
        neighbours: How many vectors of the bank weigh a score; 0 for none.
    """

    training_only = ("classifier",)  # of the published network, so that its file loads whole

    def __init__(
        self, nc: int, layers: Sequence[int], bank: int, candidates: int, neighbours: int
    ) -> None:
        super().__init__()
        self.nc, self.layers, self.most = nc, tuple(layers), bank
        self.n_candidates, self.neighbours = candidates, neighbours
        self.features = feature_layers(full_widths())
        if list(layers) != sorted(set(layers)) or not layers:
            raise ValueError("layers are numbers of layers in ascending order, each once")
        if not 0 <= layers[0] <= layers[-1] < len(self.features):
            raise ValueError(f"layers go from 0 to {len(self.features) - 1}")
        if min(bank, candidates) < 1:
            raise ValueError("bank and candidates are at least 1")
        if neighbours != 0 and neighbours < 2:
            raise ValueError("neighbours is 0, for a score that is not weighed, or at least 2")
        self.classifier = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(full_widths()[LAST], IMAGENET_CLASSES)
        )
        initialise(self)
        width = self.patches(torch.zeros(1, 3, 32, 32)).shape[1]
        self.bank: Tensor
        self.register_buffer("bank", torch.zeros(1, width))
        self.register_load_state_dict_pre_hook(_make_room)

    @property
    def used(self) -> nn.Sequential:
        """The layers that are looked through."""
        return nn.Sequential(*list(self.features)[: self.layers[-1] + 1])

    @torch.no_grad()
    def patches(self, images: Tensor) -> Tensor:
        """Vectors of patches [N, d, h, w] of images, in eval mode."""
        self.eval()
        return patch_maps(self.used, self.layers, images)

    def fit(
        self, batches: Callable[[], Iterable[Tensor]], seed: int, is_fresh: bool
    ) -> dict[str, float]:
        """Choose the bank from images without a defect; see ``Fitted.fit``."""
        if is_fresh:
            self._settle_norms(batches())
        vectors = self._candidates(batches, torch.Generator().manual_seed(seed))
        first = int(
            torch.randint(len(vectors), (1,), generator=torch.Generator().manual_seed(seed))
        )
        rows, radius = k_center(vectors, self.most, first)
        self.bank = vectors[rows].to(next(self.parameters()).device, copy=True)
        return {
            "bank_vectors": len(rows),
            "bank_dimensions": self.bank.shape[1],
            "bank_mib": self.bank.numel() * 4 / 2**20,
            "candidates": len(vectors),
            "covering_radius": radius,
        }

    def _candidates(
        self, batches: Callable[[], Iterable[Tensor]], generator: torch.Generator
    ) -> Tensor:
        """Some patches of all images, float32 [n, d]: each image gives as many, drawn at random.

        Images are counted first, so that of each no more is kept than it gives. Where there are more images than
        candidates, as many images as candidates give one patch each.
        """
        images = sum(len(batch) for batch in batches())
        each = max(1, self.n_candidates // images)
        gives = torch.ones(images, dtype=torch.bool)
        if images > self.n_candidates:
            gives[torch.randperm(images, generator=generator)[self.n_candidates :]] = False
        drawn = [
            vectors[torch.randperm(len(vectors), generator=generator)[:each]]
            for vectors, is_giving in zip(self._vectors(batches()), gives.tolist(), strict=True)
            if is_giving
        ]
        return torch.cat(drawn)

    def _vectors(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """All patches of one image after the other, [h * w, d]."""
        for images in batches:
            for of_image in self.patches(images).float().cpu():
                yield of_image.flatten(1).T.contiguous()

    @torch.no_grad()
    def _settle_norms(self, batches: Iterable[Tensor]) -> None:
        """Give batch norms of a network that learnt nothing the moments of the images; else all features vanish."""
        norms = [m for m in self.used.modules() if isinstance(m, nn.BatchNorm2d)]
        momentum = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
        self.used.train()
        for images in batches:
            self.used(images)
        for norm, value in zip(norms, momentum, strict=True):
            norm.momentum = value
        self.eval()

    def deploy(self) -> nn.Module:
        """Folded features and the search of the bank."""
        folded = copy.deepcopy(self.used).eval()
        fold_all(folded)
        bank = self.bank.detach().clone()
        return PatchScore(folded, self.layers, bank, self.neighbours).eval()


def _make_room(network: nn.Module, state: dict[str, Tensor], prefix: str, *_more: object) -> None:
    """Before a state is loaded: its bank may have any number of vectors."""
    assert isinstance(network, PatchCore)
    held = state.get(f"{prefix}bank")
    if held is not None and held.shape[1:] == network.bank.shape[1:]:
        network.bank = network.bank.new_zeros(held.shape)


def build(
    nc: int,
    layers: Sequence[int] = (6, 13),
    bank: int = 4000,
    candidates: int = 100_000,
    neighbours: int = 0,
) -> PatchCore:
    """Build PatchCore on MobileNetV2.

    Args:
        nc: Number of classes of defects.
        layers: Numbers of the layers of torchvision's ``features`` whose maps are taken.
        bank: Most vectors of the bank.
        candidates: Patches of the training part that the bank is chosen from.
        neighbours: Vectors of the bank that weigh a score, b of section 3.3, usually 9; 0: the score is the
            largest distance alone, as in the authors' program.

    Raises:
        ValueError: A number is out of range.
    """
    return PatchCore(nc, layers, bank, candidates, neighbours)
