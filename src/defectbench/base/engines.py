"""Forms of a model: which engine runs it, and with which arithmetic. What they do is in ``deploy/engines``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PRECISIONS = ("fp32", "fp16", "int8")
REFERENCE = "onnxruntime"  # what runs the artifact as it is, and what others are held against

# Precisions that each engine has.
ENGINES: Mapping[str, tuple[str, ...]] = {
    REFERENCE: ("fp32", "int8"),
    "onnxruntime_cuda": ("fp32",),
    "openvino": ("fp32", "int8"),
    "ncnn": ("fp32", "fp16"),
    "torch": ("fp32",),
    "torch_compiled": ("fp32",),
    "torch_graph": ("fp32",),
    "tensorrt": ("fp32", "fp16", "int8"),
}
ON_GPU = ("onnxruntime_cuda", "torch_compiled", "torch_graph", "tensorrt")  # and nowhere else
NETWORK = "torch"  # whose files are the trained weights and what builds their network

# Engines that run files of their own, not the artifact, by whose files they run.
CONVERTED: Mapping[str, str] = {
    "ncnn": "ncnn",
    NETWORK: NETWORK,
    "torch_compiled": NETWORK,
    "torch_graph": NETWORK,
    "tensorrt": "tensorrt",
}
# Engines of a processor whose package alone runs a model's files: on a board, and from a folder to deploy.
ON_PROCESSORS = tuple(
    name for name in ENGINES if name not in ON_GPU and CONVERTED.get(name) != NETWORK
)


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
    def is_network(self) -> bool:
        """Whether it is the trained network itself, which the method's own code builds."""
        return CONVERTED.get(self.engine) == NETWORK

    @property
    def maker(self) -> Form | None:
        """The form whose conversion makes the files that this one runs; None where it runs a model file.

        Example:
            >>> Form("torch_graph").maker, Form("openvino").maker
            (Form(engine='torch', precision='fp32'), None)
        """
        owner = CONVERTED.get(self.engine)
        return None if owner is None else Form(owner, self.precision)

    @property
    def file(self) -> str:
        """The model file that it runs, or that its own files are made of, relative to the cell.

        A file in eight bits says itself where it rounds; other precisions are made of the artifact.
        """
        return f"engines/{self.precision}/model.onnx" if self.precision == "int8" else "model.onnx"

    @property
    def model(self) -> str:
        """What the engine runs, relative to the cell: a file, or a folder of files."""
        return self.file if self.maker is None else f"engines/{self.maker.name}/model"

    @property
    def conversion(self) -> str | None:
        """Record of how the model was made, relative to the cell; None of the artifact itself."""
        if self.maker is not None:
            return f"engines/{self.maker.name}/conversion.json"
        return self.rounding

    @property
    def rounding(self) -> str | None:
        """Record of how the file in eight bits was made of the artifact, relative to the cell; None of other files."""
        return f"engines/{self.precision}/conversion.json" if self.precision == "int8" else None

    @property
    def folder(self) -> str:
        """Folder of its records, relative to the cell."""
        return f"engines/{self.name}"

    @property
    def records(self) -> list[str]:
        """What a report reads of it, relative to the cell."""
        measured = [f"{self.folder}/{name}.json" for name in ("accuracy", "agreement")]
        made = [record for record in (self.conversion, self.rounding) if record]
        return [*dict.fromkeys(made), *measured, f"latency/{self.name}.json"]


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
