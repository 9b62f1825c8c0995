"""How often comparisons pooled over sets hold the truth, and whether the stated number of seeds settles them.

Differences of two methods on several sets are drawn with a known mean: noise of training by seed, and noise of test
groups that all seeds share. The suite's own functions pool them. `ratio` is the noise of groups over that of seeds on
one set, as in `interval_coverage.py`; the noise of a seed is 1 point. A pair that is equal and is told apart is a false
alarm: 1 minus the coverage. The number of seeds is worked out from the true variances, and the power that it has is
counted.

    python benchmarks/pooled_coverage.py --out results/reference/interval-coverage/pooled.json

Some seconds of one core; all draws follow from `--seed`.
"""

from __future__ import annotations

import itertools

import numpy as np

from defectbench.measure.pooled import POWER, SetDifference, seeds_to_settle
from defectbench.measure.spread import Spread, VariancePart, pooled_spread, spread_of
from defectbench.measure.statistics import CONFIDENCE
from interval_coverage import run_simulation

SETS = (2, 3, 5, 8)
SEEDS = (2, 3, 5)
GROUPS = (8, 30)
RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0)
DRAWS = 2000
MOST_COUNTED = 60  # seeds; the power of more is not counted, for the room that they take


def differences(random, draws, groups, seeds, ratio, scale=1.0, mean=0.0):
    """Scores [draws, seeds, groups] of a difference on one set."""
    of_groups = ratio * np.sqrt(groups) * random.standard_normal((draws, 1, groups))
    return mean + scale * (of_groups + random.standard_normal((draws, seeds, 1)))


def spread_of_scores(scores):
    """What the mean of scores [..., seeds, groups] varies by, and that mean."""
    groups = scores.shape[-1]
    values = scores.mean(axis=-1)
    left_out = (scores.sum(axis=-1, keepdims=True) - scores) / (groups - 1)
    return values.mean(axis=-1), spread_of(values, left_out)


def pooled(random, draws, sets, groups, seeds, ratio, scales, mean=0.0):
    """Pooled means [draws] and their spread."""
    made = [
        spread_of_scores(differences(random, draws, groups, seeds, ratio, scale, mean))
        for scale in scales[:sets]
    ]
    return np.mean([value for value, _ in made], axis=0), pooled_spread([s for _, s in made])


def pooled_sets(random, sets, groups, seeds, ratio, draws=DRAWS, scales=(1.0,) * 16):
    """Share of pooled intervals that hold the mean, 0; `scales` is the noise of each set."""
    means, spread = pooled(random, draws, sets, groups, seeds, ratio, scales)
    return float((np.abs(means) <= spread.reach(CONFIDENCE)).mean())


def true_difference(difference, groups, ratio, seeds=2):
    """A set whose variances are the true ones."""
    training = VariancePart(np.array(1.0 / seeds), seeds - 1)
    spread = Spread((training,), VariancePart(np.array(ratio**2), groups - 1), np.zeros(()))
    return SetDifference(difference, spread, seeds, groups)


def power_of_seeds(random, sets, groups, difference, ratio, draws=DRAWS):
    """The number of seeds that the suite states for a true difference, and how often they tell it."""
    settled = seeds_to_settle([true_difference(difference, groups, ratio)] * sets)
    told = {"seeds": settled.seeds, "limit": settled.limit}
    if settled.seeds is None or settled.seeds > MOST_COUNTED:
        return told

    def power(seeds):
        ones = (1.0,) * sets
        means, spread = pooled(random, draws, sets, groups, seeds, ratio, ones, difference)
        return float((means > spread.reach(CONFIDENCE)).mean())

    told["power"] = power(settled.seeds)
    if settled.seeds > 2:
        told["power_of_one_fewer"] = power(settled.seeds - 1)
    return told


def equal_methods(random, methods, sets, groups, seeds, ratio, draws=DRAWS):
    """Share of studies of equal methods in which any pair is told apart, corrected by Holm over all pairs and not.

    Holm's procedure tells any pair apart where it tells the first: the level is then that over the number of pairs.
    """
    scores = [
        differences(random, draws * methods, groups, seeds, ratio).reshape(
            draws, methods, seeds, groups
        )
        for _ in range(sets)
    ]
    pairs = list(itertools.combinations(range(methods), 2))
    levels = {"uncorrected": 1 - CONFIDENCE, "holm": (1 - CONFIDENCE) / len(pairs)}
    told = {name: np.zeros(draws, bool) for name in levels}
    for a, b in pairs:
        made = [spread_of_scores(one[:, a] - one[:, b]) for one in scores]
        mean = np.abs(np.mean([value for value, _ in made], axis=0))
        spread = pooled_spread([spread for _, spread in made])
        for name, level in levels.items():
            told[name] |= mean > spread.reach(1 - level)
    return {f"any_told_{name}": float(any_told.mean()) for name, any_told in told.items()}


def of_pooled_sets(random):
    """Rows by sets, groups, seeds and ratio; then of sets of which one is four times as noisy."""
    rows = []
    for scales, sets, groups, seeds, ratio in itertools.product(
        ("alike", "one noisy"), SETS, GROUPS, SEEDS, RATIOS
    ):
        noise = (4.0 if scales == "one noisy" else 1.0, *(1.0,) * (sets - 1))
        coverage = pooled_sets(random, sets, groups, seeds, ratio, scales=noise)
        case = {"scales": scales, "sets": sets, "groups": groups, "seeds": seeds, "ratio": ratio}
        rows.append({**case, "coverage": coverage})
    return rows


def of_power(random):
    """Rows by sets, true difference and ratio, at 60 groups."""
    cases = itertools.product((1, 3), (0.5, 1.0, 2.0, 4.0), (0.1, 0.5, 1.0))
    return [
        {"sets": s, "difference": d, "ratio": r, **power_of_seeds(random, s, 60, d, r)}
        for s, d, r in cases
    ]


def of_equal_methods(random):
    """Rows by sets and seeds, of five methods at 30 groups and ratio 1."""
    return [
        {
            "methods": 5,
            "sets": sets,
            "seeds": seeds,
            "groups": 30,
            "ratio": 1.0,
            **equal_methods(random, 5, sets, 30, seeds, 1.0),
        }
        for sets, seeds in itertools.product((2, 4), (2, 3))
    ]


SECTIONS = {"pooled_sets": of_pooled_sets, "power": of_power, "equal_methods": of_equal_methods}


def measure(names, seed):
    """The figures of some sections; each draws from a generator of its own."""
    figures = {}
    for number, (name, make) in enumerate(SECTIONS.items()):
        if name in names:
            figures[name] = make(np.random.default_rng([seed, number]))
            print(name, "done", flush=True)
    return {
        **figures,
        "draws": DRAWS,
        "seed": seed,
        "confidence": CONFIDENCE,
        "power_stated": POWER,
    }


def main():
    """Simulate and write the record."""
    run_simulation("pooled_coverage", __doc__, SECTIONS, measure)


if __name__ == "__main__":
    main()
