"""Collaborative filter pruning on maps made by hand, and against slow loops from the formulas."""

import numpy as np
import pytest
import torch

from defectbench.base.errors import CompressionError
from defectbench.compression.cfp.filters import FilterScores, cluster, keep, quota


def scores_of(*batches):
    gathered = FilterScores()
    for maps in batches:
        gathered.add(maps)
    return gathered.scores()


def test_ranks_of_maps_made_by_hand():
    maps = torch.zeros(2, 4, 3, 3)
    maps[:, 1] = 1.0  # one direction
    maps[0, 2], maps[1, 2] = torch.eye(3), torch.diag(torch.tensor([2.0, 1.0, 0.0]))
    maps[:, 3] = 4e-5 * torch.eye(3)  # rounds to nothing
    assert scores_of(maps).ranks.tolist() == [0.0, 1.0, 2.5, 0.0]


def test_distances_of_maps_made_by_hand():
    # Frobenius norms of filters 0, 1, 2 are 0, 6, 12 on one image and 3, 3, 0 on the other; height 3
    maps = torch.zeros(2, 3, 3, 3)
    maps[0, 1], maps[0, 2] = 2.0, 4.0
    maps[1, 0], maps[1, 1] = 1.0, 1.0
    expected = np.array([[0, 6, 15], [6, 0, 9], [15, 9, 0]]) / 2 / 3
    np.testing.assert_allclose(scores_of(maps).distances, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 6, 7, 7), (3, 4, 4, 6)])
def test_scores_equal_the_formulas(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu()
    maps[:, 1, :, 2:] = 0
    found = scores_of(maps[:2], maps[2:])
    images, filters, height, _ = shape
    for k in range(filters):
        ranks = [np.linalg.matrix_rank(np.round(maps[i, k].numpy(), 4)) for i in range(images)]
        assert found.ranks[k] == pytest.approx(np.mean(ranks), abs=1e-12)
        for other in range(filters):
            norms = [
                [np.linalg.norm(maps[i, j].double()) for i in range(images)] for j in (k, other)
            ]
            apart = np.abs(np.subtract(*norms)).mean() / height
            assert found.distances[k, other] == pytest.approx(apart, abs=1e-9)
    assert found.images == images


def test_batches_do_not_matter():
    maps = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    one, many = scores_of(maps), scores_of(maps[:1], maps[1:4], maps[4:])
    np.testing.assert_array_equal(one.ranks, many.ranks)
    np.testing.assert_allclose(one.distances, many.distances, atol=1e-12)


def test_no_image_is_a_named_error():
    with pytest.raises(CompressionError, match="at least one batch"):
        FilterScores().scores()


def line(*places):
    """Distances of points on a line."""
    places = np.array(places, float)
    return np.abs(places[:, None] - places)


def test_two_clouds_are_two_clusters():
    assert cluster(line(0, 10, 0.1, 10.1, 0.2)) == [[0, 2, 4], [1, 3]]


def test_an_outlier_is_a_cluster_of_its_own():
    assert cluster(line(0, 1, 2, 3, 50)) == [[0, 1, 2, 3], [4]]


def test_a_larger_scale_makes_more_clusters_up_to_the_bound():
    distances = line(0, 1, 10, 11, 20, 21, 30, 31)
    assert len(cluster(distances, scale=2)) == 2
    assert len(cluster(distances, scale=6, most=4)) == 4
    assert len(cluster(distances, scale=40, most=8)) == 8
    assert len(cluster(distances, scale=40, most=3)) <= 3


def test_filters_that_are_all_alike_are_one_cluster():
    assert cluster(np.zeros((4, 4))) == [[0, 1, 2, 3]]
    assert cluster(np.zeros((1, 1))) == [[0]]


@pytest.mark.parametrize(
    ("size", "rate", "kept"),
    [
        (64, 0.4, 38),
        (191, 0.35, 124),
        (1, 0.35, 0),
        (5, 0.8, 1),
        (10, 0.9, 1),
        (7, 0, 7),
        (512, 0.5, 256),
    ],
)
def test_quota(size, rate, kept):
    assert quota(size, rate) == kept


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_out_of_range_is_a_named_error(rate):
    with pytest.raises(CompressionError, match="0 <= rate < 1"):
        quota(8, rate)


def test_each_cluster_keeps_its_best():
    ranks = [5, 1, 9, 2, 8, 7]
    assert keep(ranks, [[0, 1, 2], [3, 4, 5]], 0.34) == [2, 4]
    assert keep(ranks, [[0, 1, 2], [3, 4, 5]], 0.3) == [0, 2, 4, 5]
    assert keep(ranks, [[0, 1, 2, 3, 4, 5]], 0.5) == [2, 4, 5]


def test_equal_ranks_keep_the_higher_index():
    assert keep([3, 3, 3, 3], [[0, 1, 2, 3]], 0.5) == [2, 3]


def test_a_cluster_of_one_is_lost_unless_it_must_stay():
    ranks = [9, 1, 2]
    assert keep(ranks, [[0], [1, 2]], 0.5) == [2]
    assert keep(ranks, [[0], [1, 2]], 0.5, least=1) == [0, 2]
    assert keep(ranks, [[0], [1, 2]], 0.0) == [0, 1, 2]


def test_a_layer_never_loses_its_last_filter():
    assert keep([2, 7, 7], [[0], [1], [2]], 0.9) == [2]


@pytest.mark.parametrize("clusters", [[[0, 1]], [[0, 1], [1, 2]], [[0, 1], [2, 3]]])
def test_clusters_that_are_no_partition_are_a_named_error(clusters):
    with pytest.raises(CompressionError, match="each filter must be in one cluster"):
        keep([1, 2, 3], clusters, 0.5)
