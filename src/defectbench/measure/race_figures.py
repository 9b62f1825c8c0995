"""Figures of one model of a race: milliseconds, the ratio to the reference model, and whether it can be trusted.

Each block of a model's calls is held against the blocks of the reference model before and after it, a few hundredths of
a second away, so that load that comes and goes slows both. With one thread the ratio is of time *on the processor*: a
call of many milliseconds is interrupted whenever other programs want the core, a short one of the reference hardly
ever, and on a busy machine the wall's clock would say twice the ratio. On an idle machine both clocks say the same.

The ratio is the interquartile mean of the blocks' logarithms: blocks in which the load changed fall into the tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (50, 90, 99)
PHASES = ("pre", "forward", "post")
RESAMPLES = 1000
WIDEST_INTERVAL = 0.20  # of a ratio: 10 % up and down
LEAST_BLOCKS = 20
MOST_WAITING = 0.10  # of the wall's time, where the ratio is of the wall's time

Floats = NDArray[np.float64]
Answers = Sequence[dict[str, Any]]


def summarise(answers: Answers, model: int, base: int | None, threads: int) -> dict[str, Any]:
    """All figures of one model.

    Args:
        answers: What each process of its heat saw.
        model: Its position in the heat.
        base: Position of the model that it was made of, if it was compressed.
        threads: Threads of the engine.
    """
    clock = clock_of_ratios(answers, threads, model, base)
    calls = call_ms(answers, model)
    phases = calls[..., :3].reshape(-1, 3)
    figures: dict[str, Any] = _percentiles("latency_ms", phases.sum(axis=1))
    has_post = answers[0].get("post", {model: True})[model]
    for column, phase in enumerate(PHASES if has_post else PHASES[:2]):
        figures |= _percentiles(f"{phase}_ms", phases[:, column])
    chosen = draw_rounds(*calls.shape[:2])
    for p, ends in _latency_ends(calls[..., :3].sum(axis=3), chosen).items():
        figures[f"latency_ms_p{p}_low"], figures[f"latency_ms_p{p}_high"] = ends
    figures["fps"] = 1000 / figures["latency_ms_p50"]
    figures["reference_ms_p50"] = float(np.median(_reference_ms(answers)[..., 0]))
    blocks = block_ratios(answers, model, clock)
    figures |= _ratio("ratio_to_reference", blocks, chosen)
    if base is not None:
        figures |= _ratio("ratio_to_base", blocks - block_ratios(answers, base, clock), chosen)
        figures |= _base_latency(call_ms(answers, base), chosen)
    figures |= _aside(answers, model)
    counts = {"n_calls": len(phases), "n_blocks": blocks.size, "n_processes": len(answers)}
    evidence = {
        "ratio_clock": clock,
        "waiting_share": waiting_share(calls),
        "clock_evidence": clock_evidence(answers),
    }
    figures |= counts | {"n_images": answers[0]["images"][model]} | evidence
    figures |= _throughput(answers, model, clock) | _energy(answers, model)
    return figures | _of_whole_images(answers, model, figures)


def _throughput(answers: Answers, model: int, clock: str) -> dict[str, float | int]:
    """Images/s of calls of several images, end to end, and the ratio to the reference model at as many."""
    figures: dict[str, float | int] = {}
    for batch in answers[0].get("batches", {}):
        races = [answer["batches"][batch] for answer in answers]
        if model not in races[0]["models"]:
            continue
        position = races[0]["models"].index(model)
        calls = call_ms(races, position)
        chosen = draw_rounds(*calls.shape[:2])
        ends = _latency_ends(calls[..., :3].sum(axis=3), chosen)[50]
        median = float(np.median(calls[..., :3].sum(axis=3)))
        rates = [1000 * int(batch) / ms for ms in (median, ends[1], ends[0])]
        name = f"images_per_s_batch{batch}"
        figures |= dict(zip((name, f"{name}_low", f"{name}_high"), rates, strict=True))
        blocks = block_ratios(races, position, clock)
        figures |= _ratio(f"ratio_to_reference_batch{batch}", blocks, chosen)
        figures[f"n_blocks_batch{batch}"] = blocks.size
    return figures


def _energy(answers: Answers, model: int) -> dict[str, Any]:
    """Joules an image of all that the machine tells, as they are and without what a pause takes; medians."""
    told = [answer["energy"] for answer in answers if answer.get("energy")]
    told = [energy for energy in told if "runners" in energy]
    if not told:
        return {}
    whole, above = [], []
    for energy in told:
        spent, idle = energy["runners"][model], sum(energy["idle_w"].values())
        joules = sum(spent["joules"].values())
        whole.append(joules / spent["images"])
        above.append((joules - idle * spent["seconds"]) / spent["images"])
    return {
        "joules_per_image": float(np.median(whole)),
        "joules_per_image_above_idle": float(np.median(above)),
        "idle_w": float(np.median([sum(energy["idle_w"].values()) for energy in told])),
        "n_energy_images": sum(energy["runners"][model]["images"] for energy in told),
    }


def _of_whole_images(
    answers: Answers, model: int, figures: dict[str, Any]
) -> dict[str, float | int]:
    """What an image in tiles costs: a call a tile, and the merging; nothing where images are not in tiles."""
    tiles = answers[0].get("tiles_per_image", {model: None})[model]
    if tiles is None:
        return {}
    merges = [ns for answer in answers for ns in answer["runners"][model]["merges"]]
    merge_ms = float(np.median(merges)) / 1e6
    latency = {
        f"image_latency_ms_p50{end}": tiles * figures[f"latency_ms_p50{end}"] + merge_ms
        for end in ("", "_low", "_high")
    }
    return {
        "tiles_per_image": tiles,
        "merge_ms_p50": merge_ms,
        "n_merges": len(merges),
        **latency,
        "image_fps": 1000 / latency["image_latency_ms_p50"],
    }


def _aside(answers: Answers, model: int) -> dict[str, Any]:
    """Figures beside the main ones: calls after a pause, suppression at the threshold of scoring; and their numbers."""
    figures: dict[str, Any] = {}
    samples_of_model = [answer["runners"][model] for answer in answers]
    paused = np.array(
        [call for samples in samples_of_model for call in samples["burst"]], np.float64
    )
    if len(paused):
        figures |= _percentiles("burst_latency_ms", paused.sum(axis=1) / 1e6)
    scoring = np.array(
        [post for samples in samples_of_model for post in samples["scoring_post"]], np.float64
    )
    if len(
        scoring
    ):  # a classifier suppresses nothing, nor does a detector that says each object once
        figures["post_ms_p50_at_score_0001"] = float(np.median(scoring)) / 1e6
    counts = {"n_burst_calls": len(paused), "n_post_calls_at_score_0001": len(scoring)}
    return figures | counts


def clock_of_ratios(
    answers: Answers, threads: int, model: int | None = None, base: int | None = None
) -> str:
    """Whose time ratios are of: ``processor``, or ``wall``.

    The wall's clock is taken with several threads, of what computes on a GPU, for which the processor only waits, and
    where the machine hides the other one.
    """
    devices = answers[0].get("devices", [])
    if any(devices[n] != "cpu" for n in (model, base) if n is not None and devices):
        return "wall"
    busy = _reference_ms(answers)[..., 1]
    ticks_finely = bool((busy > 0).all()) and len(np.unique(busy)) > 1
    return "processor" if threads == 1 and ticks_finely else "wall"


def call_ms(answers: Answers, model: int) -> Floats:
    """Milliseconds of a model's calls: [processes, rounds, calls, 4]: pre, forward, post, on the processor."""
    return np.array([answer["runners"][model]["calls"] for answer in answers], np.float64) / 1e6


def _reference_ms(answers: Answers) -> Floats:
    """Milliseconds of the reference model's calls: [processes, blocks, calls, 2]: on the wall, on the processor."""
    return np.array([answer["reference"] for answer in answers], np.float64) / 1e6


def block_ratios(answers: Answers, model: int, clock: str) -> Floats:
    """Logarithms [processes, rounds]: median of a block over the (geometric) mean of its neighbours' medians."""
    calls, references = call_ms(answers, model), _reference_ms(answers)
    times = calls[..., 3] if clock == "processor" else calls[..., :3].sum(axis=3)
    reference = np.median(references[..., 1 if clock == "processor" else 0], axis=2)
    blocks, neighbours = np.log(np.median(times, axis=2)), np.log(reference)
    ratios = np.empty_like(blocks)
    for process, answer in enumerate(answers):
        for n, order in enumerate(answer["orders"]):
            before = n * len(order) + order.index(model)
            ratios[process, n] = (
                blocks[process, n] - neighbours[process, before : before + 2].mean()
            )
    return ratios


def interquartile_mean(values: Floats) -> Floats:
    """Mean of the middle half along the last axis.

    Example:
        >>> float(interquartile_mean(np.array([1.0, 2.0, 4.0, 90.0])))
        3.0
    """
    ordered = np.sort(values, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def draw_rounds(processes: int, rounds: int, resamples: int = RESAMPLES) -> tuple[Any, Any]:
    """Draw processes, then rounds within each, with replacement, as index arrays of [processes, rounds, ...].

    One process fewer is drawn than there are: so few of them would else seem to agree better than they do.
    """
    random = np.random.default_rng(0)
    drawn = max(1, processes - 1)
    chosen = random.integers(processes, size=(resamples, drawn, 1))
    return chosen, random.integers(rounds, size=(resamples, drawn, rounds))


def interval_ends(draws: Floats) -> tuple[float, float]:
    """Ends of the 95 % interval of resampled figures."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _ratio(name: str, blocks: Floats, chosen: tuple[Any, Any]) -> dict[str, float]:
    """A ratio with its interval, from logarithms by process and round."""
    draws = interquartile_mean(blocks[chosen].reshape(len(chosen[0]), -1))
    low, high = interval_ends(np.exp(draws))
    ratio = math.exp(interquartile_mean(blocks.reshape(-1)))
    return {name: ratio, f"{name}_low": low, f"{name}_high": high}


def _latency_ends(total: Floats, chosen: tuple[Any, Any]) -> dict[int, tuple[float, float]]:
    """Ends of the intervals of the percentiles, from milliseconds [processes, rounds, calls]."""
    drawn = total[chosen].reshape(len(chosen[0]), -1)
    percentiles = np.percentile(drawn, PERCENTILES, axis=1)
    return {p: interval_ends(draws) for p, draws in zip(PERCENTILES, percentiles, strict=True)}


def _base_latency(calls: Floats, chosen: tuple[Any, Any]) -> dict[str, float]:
    total = calls[..., :3].sum(axis=3)
    low, high = _latency_ends(total, chosen)[50]
    name = "base_latency_ms_p50"
    return {name: float(np.median(total)), f"{name}_low": low, f"{name}_high": high}


def _percentiles(name: str, values: Floats) -> dict[str, float]:
    percentiles = np.percentile(values, PERCENTILES)
    return {f"{name}_p{p}": float(v) for p, v in zip(PERCENTILES, percentiles, strict=True)}


def waiting_share(calls: Floats) -> float | None:
    """Share of the wall's time that calls were not on the processor; with several threads a rough one.

    None where the machine does not tell its processor's time.
    """
    wall, busy = float(calls[..., :3].sum()), float(calls[..., 3].sum())
    return max(0.0, 1 - busy / wall) if busy > 0 and wall > 0 else None


def clock_evidence(answers: Answers) -> str:
    """What the machine tells of its clock: ``moving``, ``constant`` (a fixed name plate) or ``none``."""
    clocks_mhz = {c for answer in answers for c in answer["evidence"]["clock_mhz"] if c}
    return "none" if not clocks_mhz else "moving" if len(clocks_mhz) > 1 else "constant"


def invalid_because(figures: dict[str, Any], answers: Answers) -> list[str]:
    """Reasons why the ratios of a model cannot be trusted; none if they can.

    That other programs ran or the clock moved is evidence in the record and no reason: it slows the reference as well.
    """
    reasons = []
    if figures["n_blocks"] < LEAST_BLOCKS:
        reasons.append(f"{figures['n_blocks']} blocks, under {LEAST_BLOCKS}")
    for name in ("ratio_to_reference", "ratio_to_base"):
        if name in figures:
            width = figures[f"{name}_high"] - figures[f"{name}_low"]
            share = width / figures[name]
            if share > WIDEST_INTERVAL:
                what = name.replace("_", " ")
                reasons.append(
                    f"interval of the {what} is {share:.0%} of it, over {WIDEST_INTERVAL:.0%}"
                )
    waited = _waiting_for_cores(figures, answers)
    if waited > MOST_WAITING:
        reasons.append(
            f"other programs took {waited:.0%} of the processors that the calls needed, "
            "and only the wall's clock was at hand"
        )
    return reasons


def _waiting_for_cores(figures: dict[str, Any], answers: Answers) -> float:
    """Share of the needed cores that other programs held, at worst, where the clock counts waiting as work."""
    if figures["ratio_clock"] == "processor":
        return 0.0
    shares = [0.0]
    for answer in answers:
        evidence = answer["evidence"]
        if evidence["foreign_cores_busy"] is not None and evidence["usable_cores"]:
            free = evidence["usable_cores"] - evidence["foreign_cores_busy"]
            shares.append(1 - free / figures["threads"])
    return max(shares)
