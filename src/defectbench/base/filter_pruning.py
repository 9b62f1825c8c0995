"""Settings of collaborative filter pruning: which channels of a classifier go, and who teaches what is left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from .rates import Written, fault_of
from .stages import NAME, SCORED, THIN, THIN_TITLE, CompressionSettings, Stage
from .strict import Strict
from .tasks import CLASSIFICATION, Task

# The fine-tuning of Wang et al., 2023; its batch is 128 and its epochs are 300
FINE_TUNING = {"optimizer.lr": 5e-5, "optimizer.weight_decay": 5e-4, "schedule.min_lr_ratio": 0.02}
CHOICES = {
    "cfp": "pruned by CFP",
    "rank": "pruned by rank",
    "l1": "pruned by L1 norm",
    "random": "pruned at random",
    "fresh": "its widths taught afresh",
    "thin": THIN_TITLE,
}
AFRESH = ("fresh", THIN)  # take the widths of a cut network and nothing of its weights
Choice = Literal["cfp", "rank", "l1", "random", "fresh", "thin"]
PUBLISHED: Choice = "cfp"  # how the paper chooses
Teaching = Literal["r_to_c", "r", "c", "half", "none"]
OF_WIDTHS = ("rates", "ratio", "scale", "most_clusters", "min_per_cluster")
TEACHERS = {  # other than sliding from R to C
    "r": "teacher R alone",
    "c": "teacher C alone",
    "half": "half of each teacher",
    "none": "labels alone",
}


def teachers_of(teaching: Teaching) -> tuple[str, ...]:
    """Teachers that a cut network learns from: ``r``, ``c``, both or none.

    Example:
        >>> teachers_of("r_to_c"), teachers_of("none")
        (('r', 'c'), ())
    """
    return {"r": ("r",), "c": ("c",), "none": ()}.get(teaching, ("r", "c"))


class FilterCut(Strict):
    """Which channels of a classifier go.

    Attributes:
        rates: Named rates of the method, published or derived, such as ``v39``; a list in words such as ``.4*5,.5*7``;
            or a rate by name of a set of channels.
        ratio: Compression of the parameters that rates are scaled to; none leaves them as they stand.
        choose: ``cfp``; controls at the widths that ``cfp`` has: ``rank``, ``l1``, ``random``; ``fresh``: these
            widths with weights as they start, taught as a cut network is, so that it lacks nothing but inherited
            weights; or ``thin``: the same, trained on labels for the epochs of all trainings behind a cut network with
            the same ``teachers``: base, fine-tuning, and teacher C where it teaches.
        scale: Larger makes more clusters.
        most_clusters: Upper bound of a layer's clusters.
        min_per_cluster: Filters that each cluster keeps at any rate; 0 is what was published.
        inherit: What the narrow network takes from the wide one; ``conv_only`` is what the released code does.
    """

    rates: str | dict[str, float]
    ratio: float | None = Field(default=None, gt=1, le=1_000_000)
    choose: Choice = PUBLISHED
    scale: float = Field(default=2.0, gt=0, le=1000)
    most_clusters: int = Field(default=4, ge=1, le=4096)
    min_per_cluster: int = Field(default=0, ge=0, le=4096)
    inherit: Literal["full", "conv_only"] = "full"


class CFP(FilterCut, CompressionSettings):
    """Two teachers, scores, narrow network, fine-tuning with fused knowledge; or a control at the same widths.

    Wang et al., IEEE Transactions on Industrial Informatics, 2023.

    Attributes:
        method: What is compressed; a classifier whose card says ``prunable: true``.
        how: ``cfp``.
        name: Its name behind the method's; made of choice, rates and teachers by default.
        images: Training images that are scored, balanced over the classes.
        teachers: Sliding from the instance-balanced to the class-balanced one, or one of them alone, half of
            each, or none: labels.
        fine_tuning: The training after the cut; rate and decay are the paper's where its recipe does not say them.
    """

    task: ClassVar[Task] = CLASSIFICATION
    stages: ClassVar[tuple[str, ...]] = ("fine_tuning",)

    method: str
    how: Literal["cfp"]
    name: str | None = Field(default=None, pattern=NAME)
    images: int = Field(default=640, ge=2, le=1_000_000)
    teachers: Teaching = "r_to_c"
    fine_tuning: Stage = Stage()

    @property
    def default_name(self) -> str:
        """Name where the study gives none."""
        size = (
            f"{self.ratio:g}x"
            if self.ratio
            else self.rates
            if isinstance(self.rates, str)
            else "own"
        )
        plain = "".join(c for c in size.lower() if c.isalnum() or c in "._")
        return f"{self.choose}{plain}" + (f"_{self.teachers}" if self.teachers in TEACHERS else "")

    @property
    def taught_by(self) -> tuple[str, ...]:
        """Teachers that a cut network learns from: ``r``, ``c``, both or none."""
        return teachers_of(self.teachers)

    def last_epochs(self, base: int) -> int:
        """Epochs of the last training, where the base and teacher C have ``base`` each.

        Example:
            >>> both = {"method": "vgg16", "how": "cfp", "rates": "v39", "fine_tuning": {"epochs": 100}}
            >>> CFP(**both).last_epochs(200), CFP(**both, choose="thin").last_epochs(200)
            (100, 500)
            >>> CFP(**both, choose="thin", teachers="r").last_epochs(200)
            300
        """
        epochs = self.fine_tuning.epochs or base
        return (
            epochs if self.choose != "thin" else epochs + base * (2 if "c" in self.taught_by else 1)
        )

    @property
    def cut_records(self) -> list[str]:
        """What the report reads of the cut, as paths below the compressed cell."""
        measured = () if self.choose in AFRESH else SCORED
        return [f"pruned/{name}" for name in (*measured, "prune.json")]

    @property
    def shared_records(self) -> list[str]:
        """What the report reads of trainings that several cuts start from, as paths below the base's cell."""
        taught = self.choose != THIN and "c" in self.taught_by
        return ["teacher_c/accuracy.json"] if taught else []

    def card_fault(self, rates: Mapping[str, Written]) -> tuple[str, object, str] | None:
        """A field that the method's card contradicts, its value and a fix; None where none is.

        Rates are a name on the card, or can be rates of some network.

        Args:
            rates: Rates by name that the card holds.
        """
        is_named = isinstance(self.rates, str) and self.rates in rates
        fix = None if is_named else fault_of(self.rates)
        if fix is None:
            return None
        named = f"name one on the card of {self.method}: {', '.join(rates)}; or " if rates else ""
        return "rates", self.rates, f"{named}{fix}"

    def recipe_of(self, stage: str) -> dict[str, Any]:
        """Fields of the recipe that the stage ``fine_tuning`` changes."""
        return {**FINE_TUNING, **getattr(self, stage).recipe}

    @staticmethod
    def decides_widths(settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Rates and clusters: how channels are chosen, and what they inherit, touches no width.

        Args:
            settings: Settings of the record of the cut.
        """
        return {name: settings[name] for name in OF_WIDTHS if name in settings}

    @staticmethod
    def was_afresh(settings: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
        """Whether a cell took nothing but widths from the cut: how its channels were chosen says so.

        Args:
            settings: Settings of the record of the cut.
            training: Figures of the record of the last training; none where it is missing.
        """
        return settings.get("choose") in AFRESH

    @staticmethod
    def title_of(name: str) -> str | None:
        """Words for a name that ``default_name`` made; None for any other.

        Example:
            >>> CFP.title_of("cfpv39_r")
            'pruned by CFP (v39), teacher R alone'
        """
        parts = re.fullmatch(rf"({'|'.join(CHOICES)})([^_].*?)(?:_({'|'.join(TEACHERS)}))?", name)
        if parts is None:
            return None
        taught = f", {TEACHERS[parts[3]]}" if parts[3] else ""
        return f"{CHOICES[parts[1]]} ({parts[2]}){taught}"
