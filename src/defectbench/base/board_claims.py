"""Latencies that papers and users print for boards: claims, kept apart from what is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from .errors import ConfigError
from .strict import Strict, first_fault
from .texts import read_text
from .yaml_text import parse_yaml

FILE = "board_claims.yaml"  # in the folder of the methods
Timed = Literal["gpu compute", "with copies", "end to end", "forward", "inference", "unstated"]


class BoardClaim(Strict):
    """A printed latency of one image.

    Attributes:
        id: Its name.
        board: The board, as printed.
        model: The network, as printed.
        method: The method of the shelf that it is of; empty where there is none.
        size: Side of the input, pixels; None where it is not said.
        precision: Arithmetic; empty where it is not said.
        ms: Milliseconds.
        timed: What they are of.
        power_mode: Name of the power mode; empty where it is not said.
        release: Release of the board's system; empty where it is not said.
        tensorrt: Version of TensorRT; empty where it is not said.
        note: What else must be known.
        source: Where it is printed.
    """

    id: str
    board: str
    model: str
    method: str = ""
    size: int | None = None
    precision: Literal["", "fp32", "fp16", "int8"] = ""
    ms: float = Field(gt=0)
    timed: Timed
    power_mode: str = ""
    release: str = ""
    tensorrt: str = ""
    note: str = ""
    source: str

    @property
    def lacks(self) -> list[str]:
        """What is not said of it and changes the figure: by a third or more each."""
        told = {
            "power mode": self.power_mode,
            "precision": self.precision,
            "what is timed": "" if self.timed == "unstated" else self.timed,
            "TensorRT version": self.tensorrt,
        }
        return [name for name, value in told.items() if not value]

    @property
    def grade(self) -> str:
        """Whether anyone could measure it again."""
        return f"not reproducible: no {', '.join(self.lacks)}" if self.lacks else "reproducible"


def read_board_claims(models_dir: str | Path) -> list[BoardClaim]:
    """The claims beside the methods; none where there is no such file.

    Raises:
        ConfigError: A claim has a field that is wrong.
    """
    path = Path(models_dir) / FILE
    if not path.is_file():
        return []
    claims = []
    for number, entry in enumerate(_entries(parse_yaml(read_text(path), path))):
        try:
            claims.append(BoardClaim.model_validate(entry))
        except ValidationError as error:
            field, value, fix = first_fault(BoardClaim, error)
            raise ConfigError(path, f"claims.{number}.{field}", value, fix) from error
    return claims


def _entries(content: Any) -> list[Any]:
    """Each claim with what those of one source share."""
    return [
        {**{k: v for k, v in group.items() if k != "figures"}, **figure}
        for group in content["claims"]
        for figure in group["figures"]
    ]
