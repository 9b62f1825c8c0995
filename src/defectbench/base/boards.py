"""Boards: which one a workflow is to run on, and the forms of a model that boards run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import Field, ValidationError

from .engines import CONVERTED, ENGINES, NETWORK, ON_GPU, PRECISIONS, REFERENCE, Form
from .errors import ConfigError
from .places import PLAIN_NAME
from .strict import Strict, first_fault, name_one_of

TENSORRT = "tensorrt"
ON_PROCESSORS = tuple(
    name for name in ENGINES if name not in ON_GPU and CONVERTED.get(name) != NETWORK
)
BOARD_ENGINES = {**{name: ENGINES[name] for name in ON_PROCESSORS}, TENSORRT: PRECISIONS}
DEVICES = "devices"  # folder of boards, in a study and in a cell


class BoardSettings(Strict):
    """What ``--config`` says of a board.

    Attributes:
        host: ``user@host``, or a name of the user's ssh settings.
        device: Name of the board in tables; that of the host by default.
        forms: Engines and precisions, such as ``tensorrt-fp16``; those of the study by default.
        port: Port of ssh.
        identity: File of the key that ssh logs in with.
        python: Python of the board.
        folder: Folder on the board.
    """

    host: str
    device: str | None = None
    forms: list[str] = Field(default=[])
    port: int | None = Field(default=None, ge=1, le=65_535)
    identity: str | None = None
    python: str | None = None
    folder: str | None = None

    @property
    def name(self) -> str:
        """Name of the board in tables.

        Example:
            >>> BoardSettings(host="pi@10.0.0.7").name
            '10.0.0.7'
        """
        if self.device is not None:
            return self.device
        return re.sub(r"[^\w.-]", "_", self.host.rpartition("@")[2]).lstrip(".-") or "board"

    @property
    def options(self) -> str:
        """Options of ``edge run``, quoted."""
        told = {n: getattr(self, n) for n in ("port", "identity", "python", "folder")}
        return " ".join(f"--{n}={quote(str(v))}" for n, v in told.items() if v is not None)


def take_board(config: dict[str, Any]) -> BoardSettings | None:
    """Take out of a configuration what it says of a board, so that the rest is a study's; None without a host.

    Raises:
        ConfigError: A value does not fit, or there are settings of a board and no host.
    """
    told = {name: config.pop(name) for name in BoardSettings.model_fields if name in config}
    if not told:
        return None
    if isinstance(told.get("forms"), str):
        told["forms"] = told["forms"].split(",")
    try:
        board = BoardSettings.model_validate(
            {name: str(v) if name == "device" else v for name, v in told.items()}
        )
    except ValidationError as error:
        field, value, fix = first_fault(BoardSettings, error)
        raise ConfigError("--config", field, value, fix) from error
    check_device_name(board.name)
    for name in board.forms:
        board_form(name)
    return board


def check_device_name(name: str) -> None:
    """Stop at a name that makes no folder, or that the folders of seeds have.

    Raises:
        ConfigError: It is such a one.
    """
    if not re.fullmatch(PLAIN_NAME, name) or name.startswith("seed"):
        fix = "use letters, digits, '-', '_' and '.', and no name that begins with seed"
        raise ConfigError("board", "name", name, fix)


def board_form(name: str) -> Form:
    """The form of a name, as a board may run it.

    Raises:
        ConfigError: There is none of that name.

    Example:
        >>> board_form("tensorrt-fp16")
        Form(engine='tensorrt', precision='fp16')
    """
    engine, _, precision = name.partition("-")
    form = Form(engine, precision or PRECISIONS[0])
    if form.name != name or form.precision not in BOARD_ENGINES.get(engine, ()):
        names = [Form(e, p).name for e, some in BOARD_ENGINES.items() for p in some]
        raise ConfigError("--form", "name", name, name_one_of(name, names))
    return form


def model_of(cell: Path, form: Form) -> Path:
    """What a board is sent of a cell: TensorRT builds its own of the ONNX file."""
    if form.engine == TENSORRT:
        return cell / Form(REFERENCE, "int8" if form.precision == "int8" else PRECISIONS[0]).model
    return cell / form.model


def device_name(out: Path, name: str | None) -> str:
    """Name of a board in tables: as it was typed, else that of its folder.

    Raises:
        ConfigError: It makes no folder.
    """
    chosen = out.resolve().name if name is None else name
    check_device_name(chosen)
    return chosen


def forms_named(names: Sequence[str] | None) -> list[Form]:
    """Forms of some names, each once; the artifact itself without any."""
    return [board_form(name) for name in dict.fromkeys(names or [REFERENCE])]
