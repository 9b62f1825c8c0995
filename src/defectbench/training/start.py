"""What a run that starts from weights must know of them: which file, and what they cost so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.files import sha256_file
from ..base.methods import Method, build_network
from ..base.published import ORIGIN, PUBLISHED
from ..base.records import read_record
from ..weights.starting import Taken
from .checkpoint import load_weights
from .teacher import TaughtBy

KINDS = ("train", "prune", PUBLISHED)  # records that name the weights beside them


@dataclass(frozen=True)
class StartedFrom:
    """Weights, the record of the step that made them, and all that they come from.

    Attributes:
        weights: A ``weights.safetensors``.
        record: ``train.json``, ``prune.json`` or ``published.json`` beside it.
        content: That record.
        train_s: Seconds of training behind the weights, of all runs that they come from; what others spent on published
            ones is not known and not counted.
        epochs: Epochs behind them, of the same runs.
        lineage: SHA-256 of the weights and of those that they come from, the oldest first.
        sha256: SHA-256 of the weights.
    """

    weights: Path
    record: Path
    content: dict[str, Any]
    train_s: float
    epochs: int
    lineage: tuple[str, ...]
    sha256: str

    @property
    def is_published(self) -> bool:
        """Whether others published the weights: they may be of other classes, and of a folded network."""
        return self.record.stem == PUBLISHED


def is_published(weights: str | Path) -> bool:
    """Whether the record beside weights, which ``read_start`` reads, says that others published them."""
    return _kind_beside(Path(weights)) == PUBLISHED


def read_start(weights: str | Path) -> StartedFrom:
    """Read the record beside weights that a run starts from.

    Raises:
        ConfigError: There is no record, or it is of other weights.
    """
    path = Path(weights)
    kind = _kind_beside(path)
    if kind is None:
        fix = "start from weights with train.json, prune.json or published.json beside them; they tell the cost"
        raise ConfigError(path, "record", "nothing", fix)
    record_path = path.with_name(f"{kind}.json")
    content, digest = read_record(record_path, kind), sha256_file(path)
    if content["weights_sha256"] != digest:
        fix = f"the weights beside it are {digest}; make both again"
        raise ConfigError(record_path, "weights_sha256", content["weights_sha256"], fix)
    if kind == PUBLISHED:
        return StartedFrom(path, record_path, content, 0.0, 0, (), digest)
    figures, before = content["figures"], content.get("lineage", [])
    epochs = figures["epochs"] + figures.get("start_epochs", 0)
    lineage = (*before, digest)
    return StartedFrom(path, record_path, content, figures["train_s"], epochs, lineage, digest)


def _kind_beside(weights: Path) -> str | None:
    """The kind of the record beside weights; of several the first that a run of the suite leaves."""
    kinds = (kind for kind in KINDS if weights.with_name(f"{kind}.json").is_file())
    return next(kinds, None)


def costs_before(
    start: StartedFrom | None, teacher: TaughtBy | None
) -> tuple[dict[str, float], float]:
    """What a run costs beside its own training.

    Args:
        start: What it starts from.
        teacher: What it learns from.

    Returns:
        Figures of its record, and the seconds that its ``train_s`` holds beside its own: a teacher that the run
        itself comes from is paid for once.
    """
    figures: dict[str, float] = {}
    seconds = 0.0
    if start is not None and not start.is_published:
        figures |= {"start_train_s": start.train_s, "start_epochs": start.epochs}
        seconds += start.train_s
    if teacher is not None:
        figures |= {"teacher_train_s": teacher.train_s, "teacher_epochs": teacher.epochs}
        seconds += 0.0 if start and teacher.sha256 in start.lineage else teacher.train_s
    return figures, seconds


def started_words(start: StartedFrom, taken: Taken) -> dict[str, Any]:
    """What a record says of published weights: which they are, and what of them was taken, left and drawn afresh."""
    about = {name: start.content[name] for name in ("name", "data", "licence", "form")}
    return {**about, "sha256": start.sha256, **taken.words()}


def origin_words(start: StartedFrom | None) -> dict[str, Any]:
    """What a record says of published weights that its run comes from through other runs: their name, data and licence.

    Args:
        start: What the run itself starts from, a run of the suite.

    Returns:
        The field ``start`` of the record; nothing where no published weights are behind the run.
    """
    behind = {} if start is None or start.is_published else start.content.get("start", {})
    told = {name: behind[name] for name in ORIGIN if name in behind}
    return {"start": told} if told else {}


def files_before(start: StartedFrom | None, teacher: TaughtBy | None) -> dict[str, Path]:
    """Weights and records that a run takes from others, by their names in its record."""
    files: dict[str, Path] = {}
    if start is not None:
        files |= {"start": start.weights, "start_record": start.record}
    if teacher is not None:
        files |= {"teacher": teacher.weights, "teacher_record": teacher.record}
    return files


def trained_network(start: StartedFrom, method: Method, nc: int) -> Any:
    """The network that weights are of, with the options of their run, in eval mode.

    Raises:
        ConfigError: The weights are of another method, do not fit it, or are published ones that no run was made from.
    """
    if start.is_published:
        fix = "train from them first: `defectbench train --start`"
        raise ConfigError(start.weights, "start", "published weights", fix)
    named = start.content.get("method")
    if named != method.card.name:
        fix = f"its weights are of {named}; give that method"
        raise ConfigError(start.record, "method", method.card.name, fix)
    network = build_network(method, nc, start.content["recipe"]["options"])
    load_weights(network, start.weights)
    return network.eval()
