"""What a student's run must know of its teacher's: which file, which seed, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base.errors import ConfigError
from ..base.files import sha256_file
from ..base.records import read_record


@dataclass(frozen=True)
class TaughtBy:
    """The run that made a teacher.

    Attributes:
        weights: Its ``weights.safetensors``.
        record: Its ``train.json``.
        sha256: Of the weights.
        train_s: Seconds of its training, with its own teacher's if it had one.
        epochs: Its epochs.
    """

    weights: Path
    record: Path
    sha256: str
    train_s: float
    epochs: int


def read_teacher(weights: str | Path, seed: int) -> TaughtBy:
    """Read the record of a teacher beside its weights.

    Args:
        weights: ``weights.safetensors`` of the teacher's run.
        seed: Seed of the student's run.

    Raises:
        ConfigError: There is no record, it is of other weights, or the teacher drew from the student's seed:
            both would start from the same weights and see the same batches.
    """
    path = Path(weights)
    record_path = path.with_name("train.json")
    record = read_record(record_path, "train")
    digest = sha256_file(path)
    if record["weights_sha256"] != digest:
        fix = f"its weights are {digest}; train the teacher again"
        raise ConfigError(record_path, "weights_sha256", record["weights_sha256"], fix)
    if record["seed"] == seed:
        fix = "give the student another seed, or train the teacher with --set role=teacher"
        raise ConfigError(record_path, "seed", seed, fix)
    figures = record["figures"]
    return TaughtBy(path, record_path, digest, figures["train_s"], figures["epochs"])
