"""Claims: numbers printed in papers, checked against our records, never mixed with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..base.methods import Claim, MethodCard, load_card, method_names
from ..base.records import read_record
from .seeds import score_over_records

SAME_SCORE = 0.005
SAME_COUNT = 0.01
SCORES = ("map50", "map50_95", "map75")
COUNTS = ("params_m", "macs_g", "gflops", "size_mib")

Verdict = Literal[
    "reproduced", "within interval", "not reproduced", "inconsistent", "not comparable"
]


@dataclass(frozen=True)
class Finding:
    """A printed number beside ours.

    Attributes:
        method: Name of the method.
        dataset: Dataset of the claim.
        protocol: Protocol of ours that is nearest to the paper's.
        metric: What is compared.
        claimed: The printed value.
        source: Where it is printed.
        ours: Our value, a mean over seeds; None without a record.
        low: Lower end of our interval; None for counts.
        high: Upper end of our interval; None for counts.
        n_seeds: Number of seeds behind ours.
        verdict: The outcome.
        reason: Why.
    """

    method: str
    dataset: str
    protocol: str
    metric: str
    claimed: float
    source: str
    ours: float | None
    low: float | None
    high: float | None
    n_seeds: int
    verdict: Verdict
    reason: str


def check_claims(
    models_dir: str | Path, run_dirs: Iterable[str | Path], all_methods: bool = False
) -> list[Finding]:
    """Check every claim of the cards of methods with cells, but those on compressed ones, against the records of these.

    A score is *reproduced* within 0.005 of the printed one, and *within interval* if the printed
    one lies in the interval of ours: over seeds and groups where there are several seeds, else over groups. A count
    is reproduced within 1 %, or where ours rounds to the printed digits; parameters are counted with batch norms, as
    papers do, and like the counts of ``thop`` they come from the card, whose golden counts a test holds. Without a
    cell of the same dataset, protocol and size, or with fewer epochs, a claim is *not comparable*.

    Args:
        models_dir: Folder of the methods.
        run_dirs: Folders of cells, or folders above them.
        all_methods: Whether the cards of methods without a cell are checked, too.
    """
    cells = _cells_below(run_dirs)
    used = {cell.parent.name for cell in cells}
    names = [name for name in method_names(models_dir) if all_methods or name in used]
    cards = [load_card(Path(models_dir) / name) for name in names]
    claims = [(card, claim) for card in cards for claim in card.claims if not claim.compressed]
    return [check_claim(card, claim, cells) for card, claim in claims]


def _cells_below(run_dirs: Iterable[str | Path]) -> list[Path]:
    """Folders ``<dataset>/<protocol>/<method>/seed<k>`` among or below some folders."""
    cells: set[Path] = set()
    for folder in map(Path, run_dirs):
        cells |= {folder} if folder.name.startswith("seed") else set(folder.glob("**/seed*"))
    return sorted(cells)


def check_claim(card: MethodCard, claim: Claim, cells: Sequence[Path]) -> Finding:
    """Check one printed number against the records of the method's cells.

    Args:
        card: The method's card.
        claim: The printed number.
        cells: Folders ``<dataset>/<protocol>/<method>/seed<k>`` of any methods.
    """
    of_method = [
        cell for cell in cells if cell.parts[-4] == claim.dataset and cell.parts[-2] == card.name
    ]
    if claim.metric in SCORES:
        scored = [cell / "accuracy.json" for cell in of_method if cell.parts[-3] == claim.protocol]
        return _check_score(card, claim, [path for path in scored if path.is_file()])
    if claim.metric in COUNTS:
        # What a network costs does not depend on how the parts of its dataset were made.
        counted = [cell / "complexity.json" for cell in of_method]
        return _check_count(card, claim, [path for path in counted if path.is_file()])
    return finding(
        card.name, claim, "not comparable", f"{claim.metric} is not measured by this suite"
    )


def finding(
    name: str,
    claim: Claim,
    verdict: Verdict,
    reason: str,
    ours: float | None = None,
    interval: tuple[float, float] | None = None,
    n_seeds: int = 0,
) -> Finding:
    """A printed number of a method, or of a compressed form of it, beside ours."""
    low, high = interval if interval else (None, None)
    why = f"{reason}; {claim.note}" if claim.note else reason
    printed = (name, claim.dataset, claim.protocol, claim.metric, claim.value, claim.source)
    return Finding(*printed, ours, low, high, n_seeds, verdict, why)


def _check_score(card: MethodCard, claim: Claim, paths: list[Path]) -> Finding:
    if not paths:
        reason = f"no cell of {claim.dataset} under protocol {claim.protocol}"
        return finding(card.name, claim, "not comparable", reason)
    counted = [path.with_name("complexity.json") for path in paths]
    counts = _counts([path for path in counted if path.is_file()])
    if claim.size and counts and claim.size not in {count["size_px"] for count in counts}:
        return finding(card.name, claim, "not comparable", _why_not(claim, counts))
    trained = [path.with_name("train.json") for path in paths]
    epochs = [read_record(p, "train")["figures"]["epochs"] for p in trained if p.is_file()]
    if claim.epochs and epochs and min(epochs) < claim.epochs:
        reason = f"printed after {claim.epochs} epochs, trained for {min(epochs)}"
        return finding(card.name, claim, "not comparable", reason)
    figures = [read_record(path, "accuracy")["figures"] for path in paths]
    values, lows, highs = (
        [record[f"{claim.metric}{end}"] for record in figures] for end in ("", "_low", "_high")
    )
    score = score_over_records(values, lows, highs, figures[0].get("n_groups", 0))
    interval = (score.low, score.high)
    difference = score.estimate - claim.value
    reason = f"ours differs by {difference:+.3f}"
    verdict: Verdict = "not reproduced"
    if abs(difference) <= SAME_SCORE:
        verdict = "reproduced"
    elif interval[0] <= claim.value <= interval[1]:
        verdict = "within interval"
    return finding(card.name, claim, verdict, reason, score.estimate, interval, len(figures))


def _check_count(card: MethodCard, claim: Claim, paths: list[Path]) -> Finding:
    if claim.metric == "params_m":
        ours, n_seeds = card.golden.params / 1e6, 0
    elif claim.counter == "thop":
        if claim.size not in card.golden.thop_m:
            reason = "printed by another counter; the card has no such count"
            return finding(card.name, claim, "not comparable", reason)
        ours, n_seeds = card.golden.thop_m[claim.size] / 1e3, 0
    else:
        counts = _counts(paths)
        same_size = [count for count in counts if claim.size in (None, count["size_px"])]
        if not same_size:
            return finding(card.name, claim, "not comparable", _why_not(claim, counts))
        ours, n_seeds = float(same_size[0][claim.metric]), len(same_size)
    share = ours / claim.value - 1
    is_same = abs(share) <= SAME_COUNT or rounds_to(ours, claim.value)
    verdict: Verdict = "reproduced" if is_same else "not reproduced"
    return finding(card.name, claim, verdict, f"ours differs by {share:+.1%}", ours, None, n_seeds)


def rounds_to(value: float, printed: float) -> bool:
    """Whether a value, written with as many decimals as a printed one, is that one.

    Example:
        >>> rounds_to(1.418, 1.4), rounds_to(0.964, 0.9894)
        (True, False)
    """
    decimals = len(str(printed).partition(".")[2])
    return round(value, decimals) == printed


def _counts(paths: Sequence[Path]) -> list[dict[str, Any]]:
    return [read_record(path, "complexity")["figures"] for path in paths]


def _why_not(claim: Claim, counts: Sequence[dict[str, Any]]) -> str:
    """Why no complexity record has the size of a claim."""
    if not counts:
        return f"no cell of {claim.dataset}"
    sizes = ", ".join(map(str, sorted({figures["size_px"] for figures in counts})))
    return f"printed at {claim.size} px, measured at {sizes} px"
