"""What training images say of the channels of a trained classifier, as a step with a record."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ...base.devices import device_name, take_device
from ...base.errors import CompressionError
from ...base.files import atomic_path, sha256_file
from ...base.methods import Method
from ...base.records import read_record, write_record
from ...base.tasks import CLASSIFICATION
from ...data.pack import load_pack
from ...nn.classifier import Classifier
from ...training.preparation import refuse_leak
from ...training.randomness import derived_seed
from ...training.sampling import balanced_subset
from ...training.start import StartedFrom, read_start, trained_network
from .filters import LayerScores
from .scoring import score_channels

BATCH = 32  # images that are scored at once


def read_classifier(start: StartedFrom, method: Method, nc: int) -> Classifier:
    """A trained classifier in its pruning form and in eval mode.

    Raises:
        ConfigError: The weights are of another method, or do not fit it.
    """
    return trained_network(start, method, nc).pruning_form().eval()


def score_classifier(
    base: str | Path,
    train_pack: str | Path,
    method: Method,
    out: str | Path,
    images: int = 640,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Score every set of channels of a trained classifier on training images, balanced over the classes.

    Args:
        base: ``weights.safetensors`` of the classifier, ``train.json`` beside it.
        train_pack: Pack of the training part.
        method: What the weights are of.
        out: Record to write, ``scores.json``; ranks and distances by set lie beside it, ``scores.safetensors``.
        images: Images to look at; all where there are fewer.
        seed: Of their choice.
        threads: Processor threads.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        ConfigError: The weights lack their record or are of another method.
        LeakageError: The pack is of the protocol ``clean`` and its certificate does not show zero shared pixels.
    """
    began = time.perf_counter()
    where = take_device(device, threads)
    pack, start = load_pack(train_pack, task=CLASSIFICATION.name), read_start(base)
    refuse_leak(pack)
    network = read_classifier(start, method, len(pack.classes)).to(where)
    rows = balanced_subset(pack.labels[:, 0], images, derived_seed(seed, 0, "scores"))
    batches = (pack.images[part].float() / 255 for part in rows.split(BATCH))
    scores_by_set = score_channels(network, batches)
    arrays = Path(out).with_suffix(".safetensors")
    tensors = {
        f"{name}/{kind}": torch.from_numpy(np.ascontiguousarray(getattr(scores, kind)))
        for name, scores in scores_by_set.items()
        for kind in ("ranks", "distances")
    }
    with atomic_path(arrays) as part:
        save_file(tensors, part)
    counts = torch.bincount(pack.labels[rows, 0], minlength=len(pack.classes)).tolist()
    seconds = time.perf_counter() - began
    figures = {
        "images": len(rows),
        "size_px": pack.size,
        "sets": len(scores_by_set),
        "score_s": seconds,
    }
    extra = {
        "method": method.card.name,
        "seed": seed,
        "device": device_name(where),
        "images_per_class": dict(zip(pack.classes, counts, strict=True)),
        "mean_rank": {name: float(scores.ranks.mean()) for name, scores in scores_by_set.items()},
    }
    inputs = {"pack": train_pack, "weights": start.weights, "arrays": arrays}
    return write_record(out, "scores", figures, inputs, seconds, extra)


def read_scores(record: str | Path, weights: str | Path) -> tuple[dict[str, LayerScores], float]:
    """Scores by set and the seconds that they took.

    Raises:
        CompressionError: They are of other weights, or the arrays are not those of the record.
    """
    content = read_record(record, "scores")
    arrays = Path(record).with_suffix(".safetensors")
    for name, path in (("weights", weights), ("arrays", arrays)):
        recorded = content["inputs"][name]["sha256"]
        if not Path(path).is_file() or sha256_file(path) != recorded:
            fix = f"{path} is another file; score the channels again"
            raise CompressionError(record, f"inputs.{name}.sha256", recorded, fix)
    tensors, images = load_file(arrays), content["figures"]["images"]
    names = dict.fromkeys(name.rpartition("/")[0] for name in tensors)
    scores = {
        name: LayerScores(
            tensors[f"{name}/ranks"].numpy(), tensors[f"{name}/distances"].numpy(), images
        )
        for name in names
    }
    return scores, content["figures"]["score_s"]
