"""What ``--config`` says of the gate of a study: the reference, and where its model files lie."""

from __future__ import annotations

from shlex import quote
from typing import Any

from pydantic import ValidationError

from .errors import ConfigError
from .strict import Strict, first_fault


class GateOptions(Strict):
    """The reference that ``snakemake gate`` holds a study against.

    Attributes:
        reference: Its folder.
        files: A folder that holds its model files, where it kept none.
    """

    reference: str
    files: str | None = None

    @property
    def options(self) -> str:
        """Options of ``gate``, quoted.

        Example:
            >>> GateOptions(reference="kept", files="my runs").options
            "--reference kept --files 'my runs'"
        """
        more = "" if self.files is None else f" --files {quote(self.files)}"
        return f"--reference {quote(self.reference)}{more}"


def take_reference(config: dict[str, Any]) -> GateOptions | None:
    """Take out of a configuration what it says of the gate, so that the rest is a study's; None without a reference.

    Raises:
        ConfigError: There are files and no reference, or a value is no text.
    """
    told = {name: config.pop(name) for name in GateOptions.model_fields if name in config}
    if not told:
        return None
    try:
        return GateOptions.model_validate({name: str(value) for name, value in told.items()})
    except ValidationError as error:
        field, value, fix = first_fault(GateOptions, error)
        raise ConfigError("--config", field, value, fix) from error
