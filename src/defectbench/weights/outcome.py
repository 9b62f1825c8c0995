"""What a check of published weights says: on the terminal and as a record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base.records import write_record
from .check import Proof

KIND = "weights"


def proof_lines(proof: Proof) -> Iterator[str]:
    """The outcome in lines of text: what was compared, a line an output, and the verdict."""
    trial = proof.trial
    yield f"{proof.method}: {', '.join(proof.files)}, {proof.n_parameters:,} parameters"
    yield f"against {proof.program}, {trial.images} images of {trial.size} px, seed {trial.seed}"
    form = "{:<14} {:>10} {:>20} {:>12} {:>9} {:>13}"
    yield form.format("output", "values", "range", "difference", "bound", "own rounding")
    for d in proof.differences:
        ends = f"{d.lowest:.3g} to {d.highest:.3g}"
        figures = (f"{d.largest:.1e}", f"{d.bound:.0e}", f"{d.rounding:.1e}")
        yield form.format(d.name, f"{d.n_values:,}", ends, *figures)
    over = [difference.name for difference in proof.differences if not difference.is_within]
    yield f"over its bound: {', '.join(over)}" if over else "equal within every bound"


def write_proof(proof: Proof, path: str | Path, seconds: float | None = None) -> dict[str, Any]:
    """Write the record of a check.

    Args:
        proof: What came of it.
        path: JSON file to write.
        seconds: Wall time that it took.

    Returns:
        The record.
    """
    figures = {
        "holds": proof.holds,
        "program": proof.program,
        "n_images": proof.trial.images,
        "size_px": proof.trial.size,
        "seed": proof.trial.seed,
        "n_parameters": proof.n_parameters,
        "outputs": {
            d.name: {
                "largest_difference": d.largest,
                "bound": d.bound,
                "rounding": d.rounding,
                "lowest": d.lowest,
                "highest": d.highest,
                "n_values": d.n_values,
            }
            for d in proof.differences
        },
    }
    extra = {"method": proof.method, "files_sha256": proof.files}
    return write_record(path, KIND, figures, {}, seconds, extra)
