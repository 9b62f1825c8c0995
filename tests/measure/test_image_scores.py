"""ROC and thresholds of one number an image: hand-made lists, the rank formula with ties, weights as repetitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from defectbench.measure.image_scores import (
    Scored,
    auroc,
    escape_of,
    rejected,
    thresholds,
)

SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60)


def scored(free, bad):
    scores = np.array([*free, *bad], np.float64)
    classes = np.array([-1] * len(free) + [0] * len(bad))
    return Scored(scores, classes >= 0, classes)


def of_pairs(pairs):
    return scored([s for s, bad in pairs if not bad], [s for s, bad in pairs if bad])


@pytest.mark.parametrize(
    ("free", "bad", "expected"),
    [
        ([1, 2], [3, 4], 1.0),
        ([3, 4], [1, 2], 0.0),
        ([1, 3], [2, 4], 0.75),
        ([1, 1], [1], 0.5),
        ([1, 2], [2], 0.75),
    ],
)
def test_auroc_by_hand(free, bad, expected):
    assert auroc(scored(free, bad))[0] == expected


@settings(deadline=None, max_examples=100)
@given(SCORES)
def test_auroc_is_that_of_the_rank_formula(pairs):
    one = of_pairs(pairs)
    n_bad, n_free = int(one.defective.sum()), int((~one.defective).sum())
    if not n_bad or not n_free:
        assert np.isnan(auroc(one)[0])
        return
    ranks = rankdata(one.scores)[one.defective].sum()
    assert auroc(one)[0] == pytest.approx((ranks - n_bad * (n_bad + 1) / 2) / (n_bad * n_free))


@settings(deadline=None, max_examples=100)
@given(SCORES, st.integers(0, 9))
def test_weights_count_as_repetitions(pairs, seed):
    one = of_pairs(pairs)
    times = np.random.default_rng(seed).integers(0, 4, len(one.scores))
    repeated = Scored(*(np.repeat(v, times) for v in (one.scores, one.defective, one.classes)))
    weights = times[None]
    for measure in (auroc, lambda s, w=None: thresholds(s, 0.2, w)):
        np.testing.assert_allclose(measure(one, weights), measure(repeated))
    share, plain = (rejected(s, 3.0, s.defective, w) for s, w in ((one, weights), (repeated, None)))
    np.testing.assert_allclose(share, plain)


def test_the_threshold_lets_a_twentieth_be_rejected_and_no_more():
    free = list(range(40))
    one = scored(free, [36.5, 37.5, 40])
    (limit,) = thresholds(one)
    assert limit == 37
    assert rejected(one, limit, ~one.defective)[0] == 2 / 40
    assert 1 - rejected(one, limit, one.defective)[0] == pytest.approx(1 / 3)
    assert thresholds(scored([5, 5, 5, 1], [1]), 0.5)[0] == 5


def test_escape_of_enough_images():
    escape = escape_of(scored(range(20), [17, 18.5, 30, 40]))
    assert escape is not None
    assert (escape.threshold, escape.n_overkill_base, escape.n_defective_images) == (18, 20, 4)
    assert escape.escape_rate_images == 0.25
    assert escape.escape_rate_boxes is None
    assert escape_of(scored(range(19), [30])) is None
    alone = escape_of(scored(range(20), []))
    assert alone is not None
    assert alone.escape_rate_images is None
