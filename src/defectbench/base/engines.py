"""Forms of a model: which engine runs it, and with which arithmetic. What they do is in ``deploy/engines``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PRECISIONS = ("fp32", "fp16", "int8")
REFERENCE = "onnxruntime"  # what runs the artifact as it is, and what others are held against

# Precisions that each engine has on a processor.
ENGINES: Mapping[str, tuple[str, ...]] = {
    REFERENCE: ("fp32", "int8"),
    "openvino": ("fp32", "int8"),
    "ncnn": ("fp32", "fp16"),
}
CONVERTED = ("ncnn",)  # engines that run files of their own, not the artifact


@dataclass(frozen=True)
class Form:
    """A model as one engine runs it.

    Attributes:
        engine: Name of the engine.
        precision: Arithmetic and weights: ``fp32``, ``fp16`` or ``int8``.
    """

    engine: str
    precision: str = PRECISIONS[0]

    @property
    def name(self) -> str:
        """Name in paths: the engine, and its precision where it is not float32.

        Example:
            >>> Form("openvino").name, Form("ncnn", "fp16").name
            ('openvino', 'ncnn-fp16')
        """
        return self.engine if self.precision == PRECISIONS[0] else f"{self.engine}-{self.precision}"

    @property
    def is_artifact(self) -> bool:
        """Whether it is the artifact itself in the reference engine."""
        return self == Form(REFERENCE)

    @property
    def model(self) -> str:
        """What the engine runs, relative to the cell: a file, or a folder of files."""
        if self.engine in CONVERTED:
            return f"engines/{self.name}/model"
        return (
            "model.onnx"
            if self.precision == PRECISIONS[0]
            else f"engines/{self.precision}/model.onnx"
        )

    @property
    def conversion(self) -> str | None:
        """Record of how the model was made of the artifact, relative to the cell; None of the artifact itself."""
        if self.engine in CONVERTED:
            return f"engines/{self.name}/conversion.json"
        return (
            None if self.precision == PRECISIONS[0] else f"engines/{self.precision}/conversion.json"
        )

    @property
    def folder(self) -> str:
        """Folder of its records, relative to the cell."""
        return f"engines/{self.name}"

    @property
    def records(self) -> list[str]:
        """What a report reads of it, relative to the cell."""
        measured = [f"{self.folder}/{name}.json" for name in ("accuracy", "agreement")]
        made = [self.conversion] if self.conversion else []
        return [*made, *measured, f"latency/{self.name}.json"]


def form_named(name: str) -> Form | None:
    """The form of a name in paths; None where there is none.

    Example:
        >>> form_named("openvino-int8"), form_named("openvino-fp16")
        (Form(engine='openvino', precision='int8'), None)
    """
    engine, _, precision = name.partition("-")
    form = Form(engine, precision or PRECISIONS[0])
    return form if form.name == name and form.precision in ENGINES.get(engine, ()) else None


def forms_of(engines: Iterable[str], precisions: Iterable[str]) -> list[Form]:
    """All forms of some engines and precisions, engine by engine; an engine without a precision is left out of it."""
    wanted = list(precisions)
    return [
        Form(engine, precision)
        for engine in engines
        for precision in wanted
        if precision in ENGINES[engine]
    ]


ONE_IMAGE = ("ncnn",)  # engines that take one image a call


def takes_batch(engine: str, batch: int) -> bool:
    """Whether an engine runs so many images in one call.

    Example:
        >>> takes_batch("ncnn", 1), takes_batch("ncnn", 4), takes_batch("openvino", 4)
        (True, False, True)
    """
    return batch == 1 or engine not in ONE_IMAGE


def latency_record(form: str, threads: int | None = None) -> str:
    """Record of a form's latency, relative to the cell; of a further number of threads in a folder of its own.

    Example:
        >>> latency_record("openvino"), latency_record("openvino", 2)
        ('latency/openvino.json', 'latency/threads2/openvino.json')
    """
    folder = "latency" if threads is None else f"latency/threads{threads}"
    return f"{folder}/{form}.json"
