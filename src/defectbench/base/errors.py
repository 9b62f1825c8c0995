"""Named errors. Each says where, which field, what was seen and what mends it."""

from __future__ import annotations

from pathlib import Path


class DefectBenchError(Exception):
    """Root of every error that a user can mend.

    Args:
        where: File, folder or address that the problem sits in.
        field: Name of the field, member or figure at fault.
        value: What was seen there.
        fix: What the user can do about it.

    Example:
        >>> str(ConfigError("config/demo.yaml", "seeds", [], "name at least one seed"))
        'config/demo.yaml: seeds: got []; name at least one seed'
    """

    def __init__(self, where: str | Path, field: str, value: object, fix: str) -> None:
        told = f"{where}: {field}: got {value!r}; {fix}"
        super().__init__(" ".join(line.strip() for line in told.splitlines()))  # one line, always
        self.where, self.field, self.value, self.fix = str(where), field, value, fix


class ConfigError(DefectBenchError):
    """A study, card or recipe does not say what it must."""


class DownloadError(DefectBenchError):
    """No source of a dataset could be fetched."""


class ArchiveError(DefectBenchError):
    """An archive is truncated, hostile or not an archive."""


class HashMismatchError(DefectBenchError):
    """A file is not the one that was registered."""


class ConversionError(DefectBenchError):
    """Raw images or labels break a rule of the dataset's card."""


class SplitError(DefectBenchError):
    """A split cannot be made or does not cover its dataset."""


class LeakageError(DefectBenchError):
    """A part that must be clean shares pixels with another part."""


class PackError(DefectBenchError):
    """A pack is damaged or does not fit what it is used for."""


class CheckpointError(DefectBenchError):
    """A checkpoint is damaged or belongs to another run."""


class TrainingDivergedError(DefectBenchError):
    """A loss stopped being finite."""


class CompressionError(DefectBenchError):
    """A plan of compression does not fit its network, or its settings make no sense."""


class ArtifactError(DefectBenchError):
    """A model file does not keep the artifact signature."""


class UnsupportedError(ArtifactError):
    """An engine lacks an operator of a model: a fact about both, and no fault of the file."""


class RefusedError(ArtifactError):
    """An engine refuses to open or run a model, in its own words; where the file is sound, a fact about both."""


class DeviceMemoryError(DefectBenchError):
    """A device has no room for what it is asked to hold."""


class WeightsError(DefectBenchError):
    """Published weights are damaged, hostile, or do not fit the network."""


class MeasurementError(DefectBenchError):
    """A figure could not be measured honestly."""


class ReportError(DefectBenchError):
    """A table or figure lacks a record."""


class ProgramError(DefectBenchError):
    """A program that runs in its own process failed."""


class HostError(DefectBenchError):
    """A board cannot be reached, refuses, lacks what is needed, or vanished."""


class BusyError(DefectBenchError):
    """Another run works on the same output."""


class DiskFullError(DefectBenchError):
    """The disk has no room for an output."""


class FileAccessError(DefectBenchError):
    """The operating system refuses a file or a folder."""
