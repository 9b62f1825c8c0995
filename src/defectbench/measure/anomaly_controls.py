"""Controls of image-level anomaly: one-number scores that know nothing of defects.

``random_score`` is drawn: its AUROC is a half. ``mean_grey`` is the mean grey level of an image, ``grey_deviation`` how
far that lies from its mean over the training part: whether lighting gives the answer away.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..base.errors import ConfigError
from ..base.files import atomic_write_json
from ..base.places import parts_folder
from ..base.records import write_record
from ..data.coco import Coco, protocol_coco, read_grey, read_part
from .anomaly import POINT
from .image_scores import Scored, escape_of, kinds_of


def control_anomaly(
    kind: str,
    dataset_dir: str | Path,
    protocol: str,
    out: str | Path,
    seed: int = 0,
    split_seed: int = 0,
) -> None:
    """Write the scores of a control for the test part, and the threshold of the validation part beside them.

    Args:
        kind: One of ``ANOMALY_CONTROLS``.
        dataset_dir: ``results/data/<dataset>`` of a set that is learnt from images without a defect.
        protocol: How the parts were made.
        out: The file to make: a list of ``image_id`` and ``anomaly``.
        seed: Seed of what is drawn.
        split_seed: Seed of the split.

    Raises:
        ConfigError: There is no such control.
        SplitError: A list is missing.
        ConversionError: An image cannot be decoded.
    """
    if kind not in ANOMALY_CONTROLS:
        raise ConfigError(out, "control", kind, f"name one of {', '.join(ANOMALY_CONTROLS)}")
    coco, images = protocol_coco(dataset_dir, protocol, split_seed)
    parts = parts_folder(dataset_dir, protocol, split_seed)
    names = {part: read_part(parts, part) for part in ("train", "val", "test")}
    scores = ANOMALY_CONTROLS[kind](images, names, seed)
    rows = [{"image_id": coco.images[n]["id"], "anomaly": scores[n]} for n in names["test"]]
    on_validation = _scored(coco, names["val"], scores)
    escape = escape_of(on_validation)
    figures = {"threshold": escape.threshold if escape else None, **kinds_of(on_validation)}
    write_record(Path(out).with_name(POINT), "operating_point", figures, {"val": parts / "val.txt"})
    atomic_write_json(out, rows)


def _scored(coco: Coco, names: list[str], scores: dict[str, float]) -> Scored:
    classes = np.array([coco.dominant_class(name) for name in names])
    return Scored(np.array([scores[name] for name in names]), classes >= 0, classes)


def random_score(_images: Path, names: dict[str, list[str]], seed: int) -> dict[str, float]:
    """A number from 0 to 1 for each image of validation and test part."""
    listed = sorted({*names["val"], *names["test"]})
    drawn = np.random.default_rng(seed).random(len(listed))
    return dict(zip(listed, drawn.round(6).tolist(), strict=True))


def mean_grey(images: Path, names: dict[str, list[str]], seed: int) -> dict[str, float]:
    """The mean grey level, 0..255."""
    return {
        n: round(float(read_grey(images / n).mean()), 6) for n in (*names["val"], *names["test"])
    }


def grey_deviation(images: Path, names: dict[str, list[str]], seed: int) -> dict[str, float]:
    """How far the mean grey level lies from its mean over the training part."""
    usual = float(np.mean([read_grey(images / name).mean() for name in names["train"]]))
    return {
        name: round(abs(level - usual), 6) for name, level in mean_grey(images, names, seed).items()
    }


ANOMALY_CONTROLS: dict[str, Callable[[Path, dict[str, list[str]], int], dict[str, float]]] = {
    "random_score": random_score,
    "mean_grey": mean_grey,
    "grey_deviation": grey_deviation,
}
