"""Weights that others published for a method: which files, what they want to see, where each tensor goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from .braces import expanded
from .strict import Strict

SCRATCH = "scratch"  # the start of a training without weights
PUBLISHED = "published"  # kind of the record beside weights that others published
ORIGIN = ("name", "data", "licence", "sha256")  # what is said of them however many runs later
FOLDED, TRAINING = "folded", "training"  # forms of the network that their tensors are of
WHOLE = "a file of the method's own program"  # a form that the suite does not open
# what of a card's block decides the bits that a training starts from; all else is told in records or compared
DECIDING = frozenset(
    {"nc", "classes", "sha256", "input", "convolutions", "tensors", "absent", "class_channels"}
)
NCNN, TORCH, PROGRAM = (".param", ".bin"), (".pth",), (".pt",)
Colours = tuple[float, float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^https?://\S+/\S+$")]


class PublishedInput(Strict):
    """What a published network wants to see.

    Attributes:
        blob: Name of the input in an ncnn graph.
        colours: Order of the colours.
        mean: What is subtracted from colours in 0..255, in their order.
        std: What they are divided by then.
        convolution: Module of ours that sees the image first; its weights are turned round where colours are ``bgr``.
        into_first: Whether our network takes colours in 0..1 as they are: mean and deviation then go into that
            convolution and the norm behind it. Where it pads, it sees black instead of the mean colour.
    """

    blob: str = ""
    colours: Literal["rgb", "bgr"]
    mean: Colours = (0.0, 0.0, 0.0)
    std: Colours = (1.0, 1.0, 1.0)
    convolution: str
    into_first: bool = False


class PublishedOutput(Strict):
    """An output that is compared.

    Attributes:
        columns: First column of our raw output, and the first that is no part of it.
        blobs: Maps of an ncnn graph that hold it, a level each, the finest first.
        probability: Whether the graph gives it after a sigmoid; ours is raw.
        bound: Largest difference that counts as equal, in the unit of the output.
    """

    columns: tuple[int, int]
    blobs: list[str] = Field(default=[])
    probability: bool = False
    bound: float = Field(gt=0)


class PublishedWeights(Strict):
    """Weights that others published for a method; its architecture is proven by them, and trainings start from them.

    Names of modules are patterns: ``stages.{0..2}.{left,right}`` are six names.

    Attributes:
        data: What they were trained on.
        nc: Number of classes.
        classes: Their names, in order. A training on the very same classes keeps the channels that predict them;
            without names they are drawn afresh, whatever their number.
        size: Input side that they are published for, pixels.
        source: Repository, commit and path that the files come from.
        licence: Licence of the files, as stated there.
        sha256: Hash of each file by its suffix: ``.param`` and ``.bin`` of ncnn, ``.pth`` of torch, or ``.pt`` of the
            method's own program, which alone opens it, for it may hold code. The hash says which files are meant,
            whatever they are called: files of one network that look alike may want different inputs.
        url: Address of each file by its suffix, which ``fetch-weights`` asks where no folder holds the file.
        input: What the network wants to see; a program knows that of its own file.
        convolutions: Modules of ours in the order in which an ncnn graph lists its convolutions.
        tensors: Modules of ours by their published names, for a state dictionary.
        absent: Tensors of ours that a state dictionary does not hold.
        class_channels: Modules that predict classes: the first of their output channels that is a class, and the first
            behind the classes. A training on another number of classes draws these channels afresh.
        reference: File beside the card with outputs of the published program, for a state dictionary.
        outputs: What is compared, by name; without any the weights are no proof of the architecture.
    """

    data: str
    nc: int = Field(ge=1)
    classes: list[str] = Field(default=[])
    size: int = Field(ge=32)
    source: str
    licence: str
    sha256: dict[str, Sha256]
    url: dict[str, Address] = Field(default={})
    input: PublishedInput = PublishedInput(colours="rgb", convolution="")
    convolutions: list[str] = Field(default=[])
    tensors: dict[str, str] = Field(default={})
    absent: list[str] = Field(default=[])
    class_channels: dict[str, tuple[int, int]] = Field(default={})
    reference: str | None = None
    outputs: dict[str, PublishedOutput] = Field(default={})

    @field_validator("convolutions")
    @classmethod
    def _each_convolution_once(cls, patterns: list[str]) -> list[str]:
        names = [name for pattern in patterns for name in expanded(pattern)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each convolution once; twice: {', '.join(twice)}")
        return patterns

    @field_validator("tensors")
    @classmethod
    def _names_come_in_pairs(cls, tensors: dict[str, str]) -> dict[str, str]:
        for published, ours in tensors.items():
            counts = len(expanded(published)), len(expanded(ours))
            if counts[0] != counts[1]:
                raise ValueError(f"{published} are {counts[0]} names, {ours} are {counts[1]}")
        return tensors

    @model_validator(mode="after")
    def _fields_fit_the_format(self) -> PublishedWeights:
        suffixes = set(self.sha256)
        if suffixes not in ({*NCNN}, {*TORCH}, {*PROGRAM}):
            raise ValueError(
                "sha256 names .param and .bin of ncnn, .pth of torch, or .pt of a program"
            )
        if self.is_of_program:
            return self._without_tensors()
        if "input" not in self.model_fields_set:
            raise ValueError(
                "input says what the network wants to see: name colours and convolution"
            )
        if self.classes and len(set(self.classes)) != self.nc:
            raise ValueError(f"classes names each of {self.nc} classes once, or is left out")
        odd = [name for name, (first, end) in self.class_channels.items() if end - first != self.nc]
        if odd:
            raise ValueError(
                f"class_channels: {odd[0]} has other than {self.nc} channels of classes"
            )
        if self.is_ncnn != bool(self.convolutions) or self.is_ncnn == bool(self.tensors):
            raise ValueError("convolutions belong to .param and .bin, tensors to .pth")
        if self.is_ncnn and self.reference:
            raise ValueError("a reference belongs to .pth; ncnn runs its own files")
        if not self.is_ncnn and bool(self.outputs) != bool(self.reference):
            raise ValueError("outputs of .pth are held against a reference: give both, or neither")
        if self.is_ncnn and self.input.into_first:
            raise ValueError("into_first is for .pth: norms of ncnn are folded already")
        if any(self.is_ncnn != bool(output.blobs) for output in self.outputs.values()):
            raise ValueError("each output of ncnn names its blobs, and no other does")
        return self

    @model_validator(mode="after")
    def _each_file_has_an_address(self) -> PublishedWeights:
        if self.url and set(self.url) != set(self.sha256):
            raise ValueError(f"url has an address for each of {', '.join(self.sha256)}, or none")
        return self

    def _without_tensors(self) -> PublishedWeights:
        """A program's own file is handed on as it is, so that nothing is said of what is in it."""
        told = (
            "input",
            "convolutions",
            "tensors",
            "absent",
            "class_channels",
            "reference",
            "outputs",
        )
        odd = [name for name in told if name in self.model_fields_set]
        if odd:
            raise ValueError(f"{odd[0]} has no effect: .pt is opened by the method's program alone")
        return self

    @property
    def is_of_program(self) -> bool:
        """Whether the file is one of the method's own program, which no other one opens."""
        return set(self.sha256) == {*PROGRAM}

    @property
    def file(self) -> str:
        """Name of the file that trainings start from, in the folder that ``fetch-weights`` makes."""
        return "weights.pt" if self.is_of_program else "weights.safetensors"

    @property
    def is_ncnn(self) -> bool:
        """Whether the files are a graph of ncnn and its weights."""
        return set(self.sha256) == {*NCNN}

    def deciding(self) -> str:
        """What decides the bits that a training starts from, as JSON: neither addresses nor words of records."""
        return self.model_dump_json(include={*DECIDING})

    def recorded(self) -> str:
        """What ``fetch-weights`` writes or records, as JSON: not where files are got, nor what is compared."""
        told = {"data", "size", "source", "licence"}
        return self.model_dump_json(include={*DECIDING, *told})

    @property
    def class_modules(self) -> dict[str, tuple[int, int]]:
        """Channels of classes by module."""
        return {
            name: channels
            for pattern, channels in self.class_channels.items()
            for name in expanded(pattern)
        }

    @property
    def module_names(self) -> list[str]:
        """Modules of ours in the order of the graph's convolutions."""
        return [name for pattern in self.convolutions for name in expanded(pattern)]

    @property
    def module_pairs(self) -> dict[str, str]:
        """Modules of ours by published name, pattern by pattern."""
        pairs: dict[str, str] = {}
        for published, ours in self.tensors.items():
            pairs |= zip(expanded(published), expanded(ours), strict=True)
        return pairs
