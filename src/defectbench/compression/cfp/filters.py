"""Collaborative filter pruning: which filters of a layer stay.

Wang et al., Collaborative Filter Pruning for Efficient Automatic Surface Defect Detection, IEEE Transactions on
Industrial Informatics, 2023. A filter is judged by the mean rank of its activation maps (how rich in detail they
are); filters are clustered by how far their maps' energies differ, and each cluster gives up the same share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from ...base.errors import CompressionError

DECIMALS = (
    4  # maps are rounded before their rank is taken: what is nearly nothing counts as nothing
)
SLACK = 1e-9  # so that 0.2 of 5 filters, 1.0 - 0.8 in floats, keeps one


@dataclass(frozen=True)
class LayerScores:
    """What images say of the n filters of one layer.

    Attributes:
        ranks: [n] mean rank of the filters' maps.
        distances: [n, n] mean absolute difference of the maps' Frobenius norms over their height.
        images: How many images were looked at.
    """

    ranks: NDArray[np.float64]
    distances: NDArray[np.float64]
    images: int


class FilterScores:
    """Gathers scores of a layer from batches of its activation maps."""

    def __init__(self) -> None:
        self._ranks: list[Tensor] = []
        self._energies: list[Tensor] = []

    def add(self, maps: Tensor) -> None:
        """Look at maps [B, n, H, W] of a batch, float32, after the layer's activation."""
        rounded = maps.detach().float().round(decimals=DECIMALS)
        self._ranks.append(torch.linalg.matrix_rank(rounded).cpu())
        norms = torch.linalg.matrix_norm(maps.detach().double())
        self._energies.append(norms.cpu() / maps.shape[-2])

    def scores(self) -> LayerScores:
        """The scores over all images so far.

        Raises:
            CompressionError: There was no image.
        """
        if not self._ranks:
            raise CompressionError("scores", "images", 0, "give at least one batch of maps")
        ranks, energies = torch.cat(self._ranks), torch.cat(self._energies)
        apart = torch.cdist(energies.T[None], energies.T[None], p=1)[0] / len(energies)
        return LayerScores(ranks.double().mean(0).numpy(), apart.numpy(), len(energies))


def cluster(distances: NDArray[np.float64], scale: float = 2.0, most: int = 4) -> list[list[int]]:
    """Cluster filters by average linkage.

    The tree is cut at the span of the pairs' distances over ``scale``; if that gives more than ``most`` clusters, it
    is cut again into at most so many. This is the rule behind the published cluster files, not the one in the
    published script, which always makes two.

    Args:
        distances: [n, n], symmetric.
        scale: Larger cuts lower and makes more clusters.
        most: Upper bound of the number of clusters.

    Returns:
        Sorted members of each cluster, clusters in the order of their first member.
    """
    count = len(distances)
    if count == 1:
        return [[0]]
    apart = squareform((distances + distances.T) / 2 * (1 - np.eye(count)), checks=False)
    tree = linkage(apart, "average")
    labels = fcluster(tree, (apart.max() - apart.min()) / scale, "distance")
    if labels.max() > most:
        labels = fcluster(tree, most, "maxclust")
    members: dict[int, list[int]] = {}
    for filter_, label in enumerate(labels.tolist()):
        members.setdefault(label, []).append(filter_)
    return list(members.values())


def quota(size: int, rate: float) -> int:
    """Filters that a cluster of ``size`` keeps at a rate; a single filter is always lost at a rate above 0.

    Raises:
        CompressionError: The rate is not in 0..1, 1 excluded.
    """
    if not 0 <= rate < 1:
        raise CompressionError(
            "rates", "rate", rate, "give a share of filters to drop, 0 <= rate < 1"
        )
    return math.floor((1 - rate) * size + SLACK)


def keep(
    ranks: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Sequence[int]],
    rate: float,
    least: int = 0,
) -> list[int]:
    """Filters of a layer that stay: of each cluster the quota with the highest ranks.

    Among equal ranks the higher index stays. A layer never loses its last filter: where every cluster's quota is 0,
    the best filter of all stays.

    Args:
        ranks: [n] scores.
        clusters: Members of each cluster; together each of the n filters once.
        rate: Share that each cluster gives up.
        least: Filters that each cluster keeps at any rate; 0 is what was published.

    Returns:
        Sorted indices.

    Raises:
        CompressionError: The clusters are no partition of the filters, or the rate is out of range.
    """
    if sorted(member for group in clusters for member in group) != list(range(len(ranks))):
        fix = "each filter must be in one cluster"
        raise CompressionError("clusters", "members", [list(group) for group in clusters], fix)
    kept: list[int] = []
    for group in clusters:
        count = max(quota(len(group), rate), min(least, len(group)))
        best = sorted(group, key=lambda n: (ranks[n], n), reverse=True)
        kept += best[:count]
    return sorted(kept) or [max(range(len(ranks)), key=lambda n: (ranks[n], n))]
