"""What a folder to deploy says: of the model, of what it scored and how fast it was, of pictures to check it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.engines import ON_PROCESSORS, Form
from ..nms import NMS

RUNNERS = ON_PROCESSORS  # engines that the script opens; `snippets/` has a program in C++ for each


@dataclass(frozen=True)
class Model:
    """The model that is deployed.

    Attributes:
        form: Engine and precision.
        path: The file, or the folder of an engine's own files: what is scored and timed.
        sha256: Its hash, of all its files.
        title: Name of the method in tables.
        dataset: Name of the dataset in tables.
        seed: Seed of its training.
        classes: Class names in the order of the score columns.
        size: Side of the square input, pixels.
        tiles: How pictures are cut into tiles; None where they are taken whole.
        suppression: What its boxes need before they are an answer: ``nms`` or ``none``.
    """

    form: Form
    path: Path
    sha256: str
    title: str
    dataset: str
    seed: str
    classes: list[str]
    size: int
    tiles: Mapping[str, Any] | None
    suppression: str = NMS

    @property
    def is_rewritten(self) -> bool:
        """Whether the folder holds the file as the engine is given it, in other bytes than those that were scored."""
        return self.form == Form("openvino", "int8")


@dataclass(frozen=True)
class Measured:
    """What was measured of this very file, or why nothing is said.

    Attributes:
        record: The record whose hash is that of the file; None without one.
        missing: Why there is none; empty where there is.
    """

    record: Mapping[str, Any] | None
    missing: str = ""

    @property
    def threads(self) -> int:
        """Threads of the engine, as it was timed; 1 without a timing."""
        return 1 if self.record is None else int(self.record["figures"].get("threads", 1))


@dataclass(frozen=True)
class CheckPicture:
    """A picture that the script is checked by.

    Attributes:
        name: Its file name in the dataset.
        path: Where it lies.
        size: Width and height, pixels.
        results: Its stored COCO results, at any threshold.
    """

    name: str
    path: Path
    size: tuple[int, int]
    results: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Check:
    """What the script is held against.

    Attributes:
        pictures: Pictures of the test part.
        stored: Where their predictions come from, in words.
        redistribution: What the dataset's terms say of giving its pictures on.
    """

    pictures: Sequence[CheckPicture]
    stored: str
    redistribution: str

    @property
    def packed(self) -> bool:
        """Whether the pictures are in the folder."""
        return self.redistribution == "allowed"


@dataclass(frozen=True)
class Deployment:
    """All that a folder to deploy holds.

    Attributes:
        model: The model.
        threshold: Boxes must score above it.
        why: How it was chosen, in words.
        on_validation: What it costs there: the figures of its record.
        val: The pack that it was chosen on.
        score: What this very file scored on the test part.
        speed: How fast this very file was.
        licences: What may be done with the parts of the folder, by part.
        check: What the script is held against.
    """

    model: Model
    threshold: float
    why: str
    on_validation: Mapping[str, Any]
    val: Path
    score: Measured
    speed: Measured
    licences: Mapping[str, str]
    check: Check
