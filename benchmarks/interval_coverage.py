"""How often the suite's 95 % intervals hold the truth, by simulation with a known truth.

Scores are drawn with a known mean: noise of training by seed, noise of test groups that all seeds share, and what is
left for a seed and a group together. The suite's own functions make the interval; the record counts how often it holds
the mean. `ratio` is the noise of groups over that of seeds: the standard deviation of one seed's score over test parts,
over that of scores on one test part over seeds. `together` is the share of the groups' noise (variance) that is no
other seed's.

    python benchmarks/interval_coverage.py --out results/reference/interval-coverage/coverage.json

A couple of minutes of one core; all draws follow from `--seed`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np

from defectbench.base.records import write_record
from defectbench.measure.bootstrap import (
    ClassMatches,
    Matches,
    group_weights,
    mean_precision,
    weighted_precision,
)
from defectbench.measure.seeds import Runs, difference_of, holm
from defectbench.measure.spread import spread_of
from defectbench.measure.statistics import (
    CONFIDENCE,
    corrected_interval,
    percentile_interval,
    resample_weights,
    resampled,
)

GROUPS = (8, 16, 30, 60, 200)
SEEDS = (2, 3, 5, 10)
RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0)
TOGETHER = (0.0, 0.5)
SHAPES = ("normal", "skewed", "unequal")
CHUNK = 2000
RESAMPLES = 1000
FEW = 200  # draws of what costs much


def noise(random, shape, size):
    """Noise of groups with mean 0 and variance 1: normal, or as lopsided as an exponential."""
    return random.exponential(size=size) - 1 if shape == "skewed" else random.standard_normal(size)


def shares(random, shape, draws, groups):
    """[draws, groups], what each group counts; some of an unequal part's count many times what others do."""
    sizes = np.exp(random.standard_normal((draws, groups))) if shape == "unequal" else 1.0
    sizes = np.broadcast_to(sizes, (draws, groups))
    return sizes / sizes.sum(axis=1, keepdims=True)


def without_each(scores, share):
    """[..., G], the weighted mean without each group in turn, of scores [..., G] that count by `share`."""
    part = scores * share
    return (part.sum(axis=-1, keepdims=True) - part) / (1 - share)


def several_seeds(random, shape, groups, seeds, ratio, together, draws):
    """Share of intervals over seeds and groups that hold the mean, 0."""
    held = 0
    for _ in range(draws // CHUNK):
        share = shares(random, shape, CHUNK, groups)[:, None]
        size = (CHUNK, seeds, groups)
        scores = np.sqrt(1 - together) * noise(random, shape, (CHUNK, 1, groups))
        if together:
            scores = scores + np.sqrt(together) * noise(random, shape, size)
        # the noise of one seed's weighted mean over groups is `ratio`, that of seeds 1
        scores = scores * (ratio / np.sqrt((share**2).sum(axis=-1, keepdims=True)))
        scores = scores + random.standard_normal((CHUNK, seeds, 1))
        values = (scores * share).sum(axis=-1)
        reach = spread_of(values, without_each(scores, share)).reach(CONFIDENCE)
        held += int((np.abs(values.mean(axis=-1)) <= reach).sum())
    return held / draws


def one_network(random, shape, groups, draws):
    """Share of BCa intervals over groups that hold the mean of a given network's score, 0."""
    share = shares(random, shape, draws, groups)
    scores = noise(random, shape, (draws, groups))
    values, left_out = (scores * share).sum(axis=1), without_each(scores, share)
    held, names = 0, [str(g) for g in range(groups)]
    weights = group_weights(names, RESAMPLES, int(random.integers(2**31)))
    for n in range(draws):
        if n > 0 and n % 100 == 0:
            weights = group_weights(names, RESAMPLES, int(random.integers(2**31)))
        counted = weights * share[n]
        resamples = (counted @ scores[n]) / counted.sum(axis=1)
        low, high = corrected_interval(values[n], resamples, left_out[n])
        held += low <= 0 <= high
    return held / draws


def before(random, groups, seeds, ratio, draws):
    """Share that the bootstrap over groups and seeds held, which these intervals replace."""
    held = 0
    for _ in range(draws):
        scores = ratio * np.sqrt(groups) * random.standard_normal(groups)
        scores = scores + random.standard_normal((seeds, 1))
        of_groups = random.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES) / groups
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        low, high = percentile_interval(((of_groups @ scores.T) * of_seeds).sum(axis=1))
        held += low <= 0 <= high
    return held / draws


def equal_methods(random, methods, seeds, groups, ratio, draws):
    """Studies of equal methods in which the leader was told from any other, or from all of them."""
    any_told = {"uncorrected": 0, "holm": 0}
    all_told = 0
    for _ in range(draws):
        scores = ratio * np.sqrt(groups) * random.standard_normal((methods, 1, groups))
        scores = scores + random.standard_normal((methods, seeds, 1))
        values = scores.mean(axis=-1)
        left_out = without_each(scores, 1 / groups)
        leader = int(values.mean(axis=1).argmax())
        p_values = [
            spread_of(values[leader] - values[m], left_out[leader] - left_out[m]).p_value(
                float((values[leader] - values[m]).mean())
            )
            for m in range(methods)
            if m != leader
        ]
        any_told["uncorrected"] += min(p_values) < 1 - CONFIDENCE
        adjusted = holm(p_values)
        any_told["holm"] += min(adjusted) < 1 - CONFIDENCE
        all_told += max(adjusted) < 1 - CONFIDENCE
    told = {f"any_told_{name}": count / draws for name, count in any_told.items()}
    return told | {"all_told_holm": all_told / draws}


IMAGES_A_GROUP, BOXES_AN_IMAGE, ALARMS_AN_IMAGE = 2, 2, 3
CLASSES = 2


def detections(random, skill, group_noise, own_noise, groups):
    """Matched detections of one network: how well it finds the boxes of a group depends on seed and group."""
    images = groups * IMAGES_A_GROUP
    level = np.repeat(skill + group_noise + own_noise, IMAGES_A_GROUP)
    classes = []
    for _ in range(CLASSES):
        boxes = np.repeat(np.arange(images), BOXES_AN_IMAGE)
        is_hit = random.random(len(boxes)) < 1 / (1 + np.exp(-level[boxes]))
        hits = boxes[is_hit]
        alarms = np.repeat(np.arange(images), ALARMS_AN_IMAGE)
        image = np.concatenate([hits, alarms])
        score = np.concatenate(
            [1.5 + random.standard_normal(len(hits)), random.standard_normal(len(alarms))]
        )
        hit = np.concatenate([np.ones(len(hits), bool), np.zeros(len(alarms), bool)])
        order = np.argsort(-score, kind="stable")
        true_boxes = np.full(images, BOXES_AN_IMAGE)
        classes.append(ClassMatches(image[order], hit[None, order], true_boxes, score[order]))
    return Matches(np.arange(images), classes)


def precision_of(matches, weights):
    """mAP50 [B] of resamples."""
    return mean_precision(weighted_precision(matches, weights))["map50"]


def average_precision(
    random, groups, seeds, draws, methods=(0.6, 0.2), seed_noise=0.25, group_noise=0.8
):
    """Share of intervals of a difference in mAP50 that hold the truth: that of many seeds on many groups.

    With one seed, the networks are given: the truth is theirs on many groups.
    """
    own = group_noise / 2
    whole = np.ones((1, 4000 * IMAGES_A_GROUP), dtype=np.int64)

    def truth_of(skill):
        shared, alone = (random.standard_normal(4000) for _ in range(2))
        matches = detections(random, skill, group_noise * shared, own * alone, 4000)
        return float(precision_of(matches, whole)[0])

    # the truth as a function of a network's skill, smooth: read between a few skills
    skills = np.linspace(-1.2, 2.0, 33)
    truths = np.polynomial.Polynomial.fit(skills, [truth_of(s) for s in skills], 5)
    expected = [np.mean(truths(m + seed_noise * random.standard_normal(200_000))) for m in methods]
    names = [str(n) for n in range(groups) for _ in range(IMAGES_A_GROUP)]
    resamples = 500 if seeds == 1 else 0
    held = 0
    for _ in range(draws):
        shared = group_noise * random.standard_normal(groups)
        weights = resample_weights(names, resamples, int(random.integers(2**31)))
        runs, given = [], []
        for mean_skill in methods:
            trained = mean_skill + seed_noise * random.standard_normal(seeds)
            figures = []
            for skill in trained:
                alone = own * random.standard_normal(groups)
                matches = detections(random, skill, shared, alone, groups)
                figures.append(resampled({"map50": precision_of(matches, weights)}, names)["map50"])
            runs.append(Runs(tuple(range(seeds)), tuple(figures)))
            given.append(float(np.mean(truths(trained))))
        first, second = given if seeds == 1 else expected
        interval = difference_of(*runs).interval
        held += interval.low <= first - second <= interval.high
    return held / draws


def of_several_seeds(random, draws):
    """Rows by shape of the noise, groups, seeds and ratio; noise of a seed's own with the normal shape alone."""
    rows = []
    grid = itertools.product(SHAPES, TOGETHER, GROUPS, SEEDS, RATIOS)
    for shape, together, groups, seeds, ratio in grid:
        if together and shape != "normal":
            continue
        case = {"shape": shape, "together": together, "groups": groups, "seeds": seeds}
        coverage = several_seeds(random, shape, groups, seeds, ratio, together, draws)
        rows.append({**case, "ratio": ratio, "coverage": coverage})
    return rows


def of_one_network(random, draws):
    """Rows by shape of the noise and groups."""
    return [
        {"shape": shape, "groups": groups, "coverage": one_network(random, shape, groups, draws)}
        for shape in SHAPES
        for groups in GROUPS
    ]


def of_what_they_replace(random, draws):
    """Rows by seeds and ratio, at 60 groups."""
    return [
        {"groups": 60, "seeds": s, "ratio": r, "coverage": before(random, 60, s, r, draws)}
        for s, r in itertools.product((2, 3, 5), RATIOS)
    ]


def of_equal_methods(random, draws):
    """Rows by seeds and ratio, of six methods at 60 groups."""
    return [
        {
            "methods": 6,
            "seeds": s,
            "groups": 60,
            "ratio": r,
            **equal_methods(random, 6, s, 60, r, draws),
        }
        for s, r in itertools.product((2, 3, 5), (0.5, 2.0))
    ]


def of_average_precision(random, draws):
    """Rows by groups and seeds."""
    return [
        {"groups": g, "seeds": s, "coverage": average_precision(random, g, s, draws)}
        for g, s in itertools.product((16, 60), (1, 3))
    ]


# draws, and what makes the rows; each section draws from a generator of its own
SECTIONS = {
    "several_seeds": (CHUNK, of_several_seeds),
    "one_network": (CHUNK, of_one_network),
    "bootstrap_over_groups_and_seeds": (FEW, of_what_they_replace),
    "equal_methods": (FEW, of_equal_methods),
    "average_precision": (FEW, of_average_precision),
}


def measure(names, seed):
    """The figures of some sections."""
    figures = {}
    for number, (name, (draws, make)) in enumerate(SECTIONS.items()):
        if name in names:
            figures[name] = make(np.random.default_rng([seed, number]), draws)
            print(name, "done", flush=True)
    draws = {name: SECTIONS[name][0] for name in figures}
    return {**figures, "draws": draws, "seed": seed, "confidence": CONFIDENCE}


def run_simulation(name, description, sections, measure):
    """Simulate what the command line asks for and write the record of a simulation, ``benchmarks/<name>.py``."""
    parser = argparse.ArgumentParser(description=description and description.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.perf_counter()
    figures = measure(args.only, args.seed)
    command = f"python benchmarks/{name}.py --out {args.out} --seed {args.seed}"
    if len(args.only) < len(sections):
        command += f" --only {' '.join(args.only)}"
    seconds = time.perf_counter() - start
    write_record(args.out, name, figures, {}, seconds, {"command": command})


def main():
    """Simulate and write the record."""
    run_simulation("interval_coverage", __doc__, SECTIONS, measure)


if __name__ == "__main__":
    main()
