"""Claims about compressed networks, checked against the stages of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....base.compressions import JOINT, base_method
from ....base.methods import Claim, load_card, method_names
from ....measure.claims import SAME_COUNT, Finding, Verdict, finding
from ....measure.seeds import mean_over_records
from ....measure.statistics import Interval
from .stages import RECOVERED, StageRow

SIZES = ("stored_mib", "factor", "params_m")


def check_compression_claims(models_dir: str | Path, stages: Sequence[StageRow]) -> list[Finding]:
    """Check the claims on compressed networks of every card whose method was compressed.

    A claim names the compression, such as ``cfpv39``, and is held against the network after its recovery. A size, the
    mean over seeds, is *reproduced* within 1 %; of a bound, where that of every seed is at or above what was printed.
    A ``difference`` to the base that was printed as a bound is *reproduced* where the whole interval of ours lies at
    or above it, and *within interval* where a part does: over seeds where there are several, else paired over groups.
    Where fewer epochs are behind ours than the claim says, it is *not comparable*.

    Args:
        models_dir: Folder of the methods.
        stages: What ``compression_stages`` returns.
    """
    bases = {base_method(stage.method) for stage in stages}
    cards = [load_card(Path(models_dir) / n) for n in method_names(models_dir) if n in bases]
    claims = [(card.name, claim) for card in cards for claim in card.claims if claim.compressed]
    return [check_compression_claim(method, claim, stages) for method, claim in claims]


def check_compression_claim(method: str, claim: Claim, stages: Sequence[StageRow]) -> Finding:
    """Check one printed number against the stages of its method's compressed cells.

    Args:
        method: The method that was compressed.
        claim: The printed number.
        stages: Stages of any methods.
    """
    name, where = f"{method}{JOINT}{claim.compressed}", (claim.dataset, claim.protocol)
    ways = [s for s in stages if s.method == name and (s.dataset, s.protocol) == where]
    ends_of_ways = [
        s for s in ways if s.stage == RECOVERED and getattr(s, claim.metric) is not None
    ]
    if not ends_of_ways:
        reason = f"no {claim.metric} of {name} on {claim.dataset} under protocol {claim.protocol}"
        return finding(name, claim, "not comparable", reason)
    values = [getattr(stage, claim.metric) for stage in ends_of_ways]
    if claim.metric in SIZES:
        size = min(values) if claim.at_least else sum(values) / len(values)
        reason = f"ours differs by {size / claim.value - 1:+.1%}"
        return finding(
            name, claim, _size_verdict(size, claim), reason, size, None, len(ends_of_ways)
        )
    mean = _over_seeds(ends_of_ways, values)
    ends = (mean.low, mean.high)
    verdict = _bound_verdict(ends, claim.value)
    reason = f"ours is {mean.estimate:+.3f}, printed as at least {claim.value:+.3f}"
    trained = min(
        (stage.epochs for stage in ends_of_ways if stage.epochs is not None), default=None
    )
    if claim.epochs and trained is not None and trained < claim.epochs:
        verdict = "not comparable"
        reason += f"; {claim.epochs} epochs are behind that, {trained} behind ours"
    return finding(name, claim, verdict, reason, mean.estimate, ends, len(values))


def _over_seeds(stages: Sequence[StageRow], values: Sequence[float]) -> Interval:
    """Mean of a difference over seeds; its ends are NaN where no interval over groups was made."""
    nothing = float("nan")
    lows = [nothing if s.difference_low is None else s.difference_low for s in stages]
    highs = [nothing if s.difference_high is None else s.difference_high for s in stages]
    return mean_over_records(values, lows, highs, stages[0].n_groups or 0)


def _size_verdict(value: float, claim: Claim) -> Verdict:
    at_least = claim.at_least and value >= claim.value
    same = abs(value / claim.value - 1) <= SAME_COUNT
    return "reproduced" if at_least or same else "not reproduced"


def _bound_verdict(ends: tuple[float, float], bound: float) -> Verdict:
    low, high = ends
    if low >= bound:
        return "reproduced"
    return "within interval" if high >= bound else "not reproduced"
