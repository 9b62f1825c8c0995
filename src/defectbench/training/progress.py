"""Progress that a person can follow: one line an epoch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ..base.tasks import TASKS


def eta(seconds: float) -> str:
    """Minutes and seconds.

    Example:
        >>> eta(125)
        '2:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def cell_name(folder: Path) -> str:
    """Dataset, protocol, method and seed of a cell's folder; what there is of them elsewhere.

    Example:
        >>> cell_name(Path("/tmp/run"))
        'tmp/run'
    """
    return "/".join(part for part in folder.parts[-4:] if part != folder.anchor)


def report_epoch(row: Mapping[str, float], epochs: int, seconds: float, folder: Path) -> None:
    """Print epoch, loss, images/s, time to go and, where it was measured, the validation score.

    Args:
        row: The epoch's row of the history.
        epochs: Epochs of the run.
        seconds: Training time so far.
        folder: The cell's folder.
    """
    epoch = int(row["epoch"])
    cell = cell_name(folder)
    scores = (
        f"  {task.validation_title} {row[task.validation_key]:.3f}"
        for task in TASKS.values()
        if task.validation_key in row
    )
    left = eta(seconds / epoch * (epochs - epoch))
    speed = f"{row['images_per_s']:.1f} images/s"
    line = f"{cell}  epoch {epoch}/{epochs}  loss {row['loss']:.3f}  {speed}  ETA {left}{''.join(scores)}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def report_fit(folder: Path, images: int, seconds: float, task: str, score: float | None) -> None:
    """Print what a method that looks at its images once came to.

    Args:
        folder: The cell's folder.
        images: Images that it looked at.
        seconds: What that took.
        task: What it solves.
        score: On the validation part, 0..1; None where it was not scored.
    """
    scored = "" if score is None else f"  {TASKS[task].validation_title} {score:.3f}"
    sys.stdout.write(f"{cell_name(folder)}  fitted to {images} images in {eta(seconds)}{scored}\n")
    sys.stdout.flush()


def report_set_aside(folder: Path) -> None:
    """Say that a run starts anew although a checkpoint was there."""
    sys.stdout.write(
        f"{cell_name(folder)}  the checkpoint is of other settings; it is now checkpoint.replaced/\n"
    )


def report_untaught(folder: Path, kd: str) -> None:
    """Say that a network which can be taught has no teacher in this run.

    Args:
        folder: The cell's folder.
        kd: How it would be taught.
    """
    sys.stdout.write(
        f"{cell_name(folder)}  kd: {kd}, and no teacher is given: it learns from the truth alone\n"
    )


def report_lone_norms(folder: Path, norms: int, side: int) -> None:
    """Say that steps of one image leave batch norms without moments.

    Args:
        folder: The cell's folder.
        norms: Batch norms that meet one value a channel in such a step.
        side: Of the images, pixels.
    """
    sys.stdout.write(
        f"{cell_name(folder)}  note: in a step of one image of {side} px {norms} batch norms meet one value a channel; "
        "there they take their running moments: a larger batch, or larger images, teach them\n"
    )


def report_no_graph(folder: Path, reason: str) -> None:
    """Say that the steps of a run are not replayed as CUDA graphs.

    Args:
        folder: The cell's folder.
        reason: Why not.
    """
    sys.stdout.write(
        f"{cell_name(folder)}  note: its steps are not replayed as CUDA graphs: {reason}\n"
    )


MOST_CLIPPED_SHARE = 0.1


def warn_of_clipping(folder: Path, share: float, limit: float | None) -> None:
    """Say that a clip cut more than a tenth of the steps after the warm-up.

    SGD then goes at the clip's pace; AdamW only weighs all these steps alike.

    Args:
        folder: The cell's folder.
        share: Of the steps after the warm-up that were clipped.
        limit: Largest gradient norm that the recipe lets through; None where it clips nothing.
    """
    if limit is None or share <= MOST_CLIPPED_SHARE:
        return
    sys.stdout.write(
        f"{cell_name(folder)}  warning: grad_clip {limit:g} cut {share:.0%} of the steps after the warm-up: "
        "their length is the clip's; raise grad_clip, unless steps of one length are meant\n"
    )
