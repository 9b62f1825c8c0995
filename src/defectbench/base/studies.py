"""Studies: which cells to make. A study is a YAML file in ``config/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from .compressions import (
    Compression,
    base_method,
    compressed_name,
)
from .engines import ENGINES, PRECISIONS, REFERENCE, Form, forms_of, latency_record
from .errors import ConfigError
from .places import fault_of_study_name
from .published import SCRATCH
from .rates import Written
from .stages import SEEDS, refuse_budget_in_recipe
from .strict import (
    BatchSize,
    Epochs,
    Seed,
    Side,
    Strict,
    Threads,
    first_fault,
    name_one_of,
)
from .tasks import DETECTION, TASKS, Task, task_named
from .tiling import Tiling
from .variants import Variant, is_variant, variant_of
from .yaml_text import read_yaml

Protocol = Literal["clean", "official", "random", "sequential", "paper"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
CONTROLS = tuple(dict.fromkeys(kind for task in TASKS.values() for kind in task.controls))
if TYPE_CHECKING:
    Control = EngineName = Precision = str
else:
    Control = Literal[CONTROLS]
    EngineName = Literal[tuple(ENGINES)]
    Precision = Literal[PRECISIONS]
Batch = Annotated[int, Field(ge=1, le=1024)]
Percent = Annotated[int, Field(ge=1, le=100)]
Start = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")]
FOLDER_NAME = r"[a-z0-9_]{1,64}\+[a-z0-9_.]{1,64}"  # of a compressed method
LISTED = "-"  # between a protocol and the list that thins its training part: random-imbalanced


def base_protocol(name: str) -> str:
    """The protocol behind a name, with a thinned training part or not.

    Example:
        >>> base_protocol("random-imbalanced"), base_protocol("clean")
        ('random', 'clean')
    """
    return name.partition(LISTED)[0]


def share_name(percent: int) -> str:
    """What stands behind a protocol's name where its training part is thinned to a share.

    Example:
        >>> share_name(10)
        '10pct'
    """
    return f"{percent}pct"


def train_share(protocol: str) -> int | None:
    """The share of the training part that a protocol's name says, percent; None where it says none.

    Example:
        >>> train_share("clean-10pct"), train_share("random-imbalanced"), train_share("clean")
        (10, None, None)
    """
    found = re.fullmatch(r"([1-9]\d?)pct", protocol.partition(LISTED)[2])
    return int(found[1]) if found else None


class Budget(Strict):
    """How long and at which size one method trains. What is left out comes from its recipe.

    Attributes:
        size: Side of the square network input, pixels; a multiple of 32 for detection, of 8 for classification. Where
            images are cut into tiles, that of a tile by default.
        tiles: How images are cut into tiles, for detection in large images; whole images where it is not given.
        epochs: Passes over the training part.
        batch: Images a step.
        threads: Processor threads of the training job.
        device: Where to train: ``cpu``, ``cuda`` or ``auto``, a GPU where there is one.
        start: Published weights that a training starts from, by their name on the method's card, such as ``coco``; or
            ``scratch``, which is the default. The row is then called ``<method>+from_<start>``.
        recipe: Single fields of the recipe, by dotted name, that short runs need otherwise.
    """

    size: Side | None = Field(default=None, multiple_of=8)
    tiles: Tiling | None = None
    epochs: Epochs | None = None
    batch: BatchSize | None = None
    threads: Threads | None = None
    device: Literal["auto", "cpu", "cuda"] | None = None
    start: Start | None = None
    recipe: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _recipe_leaves_the_budget_alone(self) -> Budget:
        fields = [name for name in Budget.model_fields if name != "recipe"]
        instead = {**dict.fromkeys(fields, "it is a field of the budget"), **SEEDS}
        refuse_budget_in_recipe(self.recipe or {}, instead)
        return self


class Block(Strict):
    """A grid of cells: every dataset x protocol x method x seed of it is made.

    Attributes:
        datasets: Names of cards in ``datasets/``.
        protocols: How the parts are made.
        methods: Names of folders in ``models/``, or ``all`` of them but the heavy ones.
        heavy: Whether ``all`` takes in the methods whose card says ``heavy: true``.
        seeds: Seeds of the training runs.
        controls: Programs that learn nothing and mark floor and ceiling of the scores. ``label_jitter`` has three
            rows, and none on a set whose labels are not known to differ between images of one surface.
        budget: The budget of every method of the block.
        budgets: The budget of single methods; it wins over ``budget``.
        train_list: A list of the datasets' cards that thins the training part; the protocol is then called
            ``<protocol>-<list>``, with parts and a certificate of its own.
        epochs: Numbers of epochs; each method is trained once for each, in a row ``<method>+<number>epochs``.
        train_shares: Shares of the training part that methods are trained on, percent; each but 100 has parts of its
            own, ``<protocol>-<share>pct``, with the same validation and test part. A larger share holds a smaller one.
        compress: Methods made smaller; each adds a row of its own, and that of its base where the block lacks it.
    """

    datasets: list[str] = Field(min_length=1)
    protocols: list[Protocol] = Field(default=["clean"], min_length=1)
    methods: list[str] | Literal["all"] = "all"
    heavy: bool = False
    seeds: list[Seed] = Field(default=[0], min_length=1)
    controls: list[Control] = Field(default=[])
    budget: Budget = Budget()
    budgets: dict[str, Budget] = Field(default={})
    train_list: str | None = Field(default=None, pattern=r"^[a-z0-9]+$")
    epochs: list[Epochs] = Field(default=[])
    train_shares: list[Percent] = Field(default=[100], min_length=1)
    compress: list[Compression] = Field(default=[])

    @field_validator(
        "datasets", "protocols", "methods", "seeds", "controls", "epochs", "train_shares"
    )
    @classmethod
    def _each_once(cls, values: Any) -> Any:
        twice = [value for n, value in enumerate(values) if value in values[:n]]
        if twice and values != "all":
            raise ValueError(f"{twice[0]} stands twice, and the second has no effect")
        return values

    @model_validator(mode="after")
    def _makes_something(self) -> Block:
        trains = bool(self.methods or self.compress)
        if not trains and not self.controls:
            raise ValueError("the block makes no cell: name methods, or `all`, or controls")
        without = [
            n for n in ("seeds", "budget", "budgets", "epochs") if n in self.model_fields_set
        ]
        if not trains and without:
            raise ValueError(f"`{without[0]}` has no effect: the block trains no method")
        return self

    @model_validator(mode="after")
    def _heavy_is_for_all(self) -> Block:
        if self.heavy and self.methods != "all":
            raise ValueError("`heavy` says what `methods: all` means; these methods are named")
        return self

    @model_validator(mode="after")
    def _epochs_are_told_once(self) -> Block:
        budgets = {"budget": self.budget} | {f"budgets.{n}": b for n, b in self.budgets.items()}
        told = [name for name, budget in budgets.items() if budget.epochs is not None]
        if self.epochs and told:
            raise ValueError(f"{told[0]}.epochs has no effect: `epochs` of the block says them")
        return self

    @model_validator(mode="after")
    def _what_is_compressed_starts_from_its_base(self) -> Block:
        for way in self.compress:
            if self.epochs:
                raise ValueError("`epochs` is for methods as they are; compress in another block")
            if is_variant(_row(self, way.method)):
                raise ValueError(f"{way.method} is compressed: give it `start: scratch`")
        return self

    @model_validator(mode="after")
    def _lists_name_images_of_the_set(self) -> Block:
        if self.train_list is not None and "paper" in self.protocols:
            raise ValueError("train_list names images of the set; `paper` makes images of its own")
        thins = any(share < 100 for share in self.train_shares)
        if thins and (self.train_list is not None or "paper" in self.protocols):
            other = "train_list thins the part already" if self.train_list else "`paper` has copies"
            raise ValueError(f"train_shares draws images of the training part; {other}")
        return self


class LatencySettings(Strict):
    """The latency protocol: a race of all model files. The defaults are the full protocol; a demo may shorten it.

    Attributes:
        processes: Fresh processes, each a repetition of its own.
        rounds: Rounds a process; in each, every model has one block of calls.
        block_calls: Counted calls back to back in a block.
        warmup: Calls of each model before the first round, in each process.
        burst_calls: Further calls of each model in all, each after a pause of 200 ms, as a camera on a line
            makes them; 0 leaves this regime out.
        threads: Threads of the engine. Of several numbers, each is a race of its own; the figures of the first stand in
            the main tables.
        batches: Images a call. One image is what the race times; of each further number images/s are counted in blocks
            of their own, by engines that take so many.
        starts: Fresh processes a file, in which memory and the times until the first answer are taken; 0 leaves
            that out.
        energy_s: Seconds of calls of each model, in each process, whose energy is read where the machine tells it; 0
            leaves that out.
    """

    processes: int = Field(default=5, ge=2, le=1000)
    rounds: int = Field(default=25, ge=1, le=100_000)
    block_calls: int = Field(default=8, ge=1, le=100_000)
    warmup: int = Field(default=10, ge=1, le=100_000)
    burst_calls: int = Field(default=20, ge=0, le=100_000)
    threads: Threads | Annotated[list[Threads], Field(min_length=1)] = 1
    batches: list[Batch] = Field(default=[1], min_length=1)
    starts: int = Field(default=0, ge=0, le=1000)
    energy_s: float = Field(default=0, ge=0, le=600)

    @model_validator(mode="after")
    def _each_number_once(self) -> LatencySettings:
        for field, numbers in (("threads", self.thread_counts), ("batches", self.batches)):
            twice = [number for n, number in enumerate(numbers) if number in numbers[:n]]
            if twice:
                raise ValueError(f"{field}: {twice[0]} stands twice, and the second has no effect")
        if self.batches[0] != 1:
            raise ValueError("batches: the race is of one image a call: name 1 first")
        return self

    @property
    def thread_counts(self) -> list[int]:
        """All numbers of threads, that of the main tables first."""
        return self.threads if isinstance(self.threads, list) else [self.threads]

    @property
    def by_threads(self) -> list[LatencySettings]:
        """The protocol of each race: one number of threads."""
        return [self.model_copy(update={"threads": count}) for count in self.thread_counts]

    @property
    def further_threads(self) -> list[int]:
        """Numbers of threads whose records have a folder of their own."""
        return self.thread_counts[1:]


class Study(Strict):
    """A study file.

    Attributes:
        study: Name of the study, and of the folder in ``results`` that holds its runs and its report.
        blocks: The grids of cells.
        mirrors: Local archive or folder, or another address, by dataset name; tried first.
        split_seed: Seed of all splits; parts lie in a folder of it, ``split<seed>``.
        latency: The latency protocol.
        engines: What runs the model files. The first is the one whose figures stand in the main tables; each further
            one is scored on the test part and timed in the same race.
        precisions: Arithmetic of the model files. ``int8`` is quantised after training, calibrated on the training
            part; an engine that lacks a precision leaves it out.
        weights_mirror: Folder that holds files of published weights, under any names, for methods with a ``start``; it
            is asked in place of the addresses on their cards.
        parquet: Whether tables are written as Parquet as well; needs ``pip install "defectbench[parquet]"``.
    """

    study: str
    blocks: list[Block] = Field(min_length=1)
    mirrors: dict[str, str] = Field(default={})
    split_seed: Seed = 0
    latency: LatencySettings = LatencySettings()
    engines: list[EngineName] = Field(default=[REFERENCE], min_length=1)
    precisions: list[Precision] = Field(default=[PRECISIONS[0]], min_length=1)
    weights_mirror: str | None = Field(default=None, min_length=1)
    parquet: bool = False

    @property
    def forms(self) -> list[Form]:
        """All forms of a model file, the artifact first."""
        return forms_of(self.engines, self.precisions)

    @property
    def latency_records(self) -> list[str]:
        """What a race writes of each cell, relative to it."""
        counts = (None, *self.latency.further_threads)
        return [latency_record(form.name, count) for count in counts for form in self.forms]

    @model_validator(mode="after")
    def _forms_begin_with_the_artifact(self) -> Study:
        for field, names in (("engines", self.engines), ("precisions", self.precisions)):
            twice = [name for n, name in enumerate(names) if name in names[:n]]
            if twice:
                raise ValueError(f"{field}: {twice[0]} stands twice, and the second has no effect")
        if self.engines[0] != REFERENCE or self.precisions[0] != PRECISIONS[0]:
            raise ValueError(
                f"{REFERENCE} in {PRECISIONS[0]} is what the others are held against: name both first"
            )
        for name in (*self.engines, *self.precisions):
            if not any(name in (form.engine, form.precision) for form in self.forms):
                had = " and ".join(
                    f"{engine} has {', '.join(ENGINES[engine])}" for engine in self.engines
                )
                raise ValueError(f"{name} has no effect: {had}")
        return self

    @field_validator("study")
    @classmethod
    def _name_can_be_a_folder(cls, name: str) -> str:
        fault = fault_of_study_name(name)
        if fault is not None:
            raise ValueError(fault)
        return name

    @field_validator("mirrors")
    @classmethod
    def _mirrors_lead_somewhere(cls, mirrors: dict[str, str]) -> dict[str, str]:
        empty = [name for name, mirror in mirrors.items() if not mirror.strip()]
        if empty:
            raise ValueError(f"{empty[0]} has an empty one: give a path or an address, or leave it")
        return mirrors


def parse_study(path: str | Path, content: object) -> Study:
    """Check the content of a study file.

    Raises:
        ConfigError: A field is missing, unknown or out of range.
    """
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        field, value, fix = first_fault(Study, error)
        raise ConfigError(path, field or "file", value, fix) from error


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        ConfigError: The file is missing, not YAML, or says something wrong.
    """
    return parse_study(path, read_yaml(path, "name a study file in config/"))


class Cell(Strict):
    """One training run and all that is measured of it.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts are made; ``<protocol>-<list>`` or ``<protocol>-<share>pct`` with a thinned training
            part.
        method: Name of the method, ``<method>+<name>`` of a compressed one or a variant, or ``control_<kind>``.
        seed: Seed of the run.
        budget: Size, epochs, batch and threads as far as the study sets them.
        compression: How the method is made smaller; None for a method as it is.
    """

    dataset: str
    protocol: str
    method: str
    seed: int
    budget: Budget
    compression: Compression | None = None

    @property
    def folder(self) -> str:
        """The cell's folder below the study's ``runs``."""
        return f"{self.dataset}/{self.protocol}/{self.method}/seed{self.seed}"

    @property
    def start(self) -> str | None:
        """Published weights that the training starts from; None for a start from scratch."""
        return variant_of(self.method).start

    @property
    def is_control(self) -> bool:
        """Whether the cell is a control, which has no model to time."""
        return self.method.startswith("control_")


def expand_cells(
    study: Study,
    methods: list[str],
    source: str | Path = "study",
    heavy: Collection[str] = (),
    tasks: Mapping[str, str] | None = None,
    prunable: Collection[str] = (),
    rates: Mapping[str, Mapping[str, Written]] | None = None,
    starts: Mapping[str, Collection[str]] | None = None,
) -> list[Cell]:
    """List the cells of a study, each once; a later block wins over an earlier one.

    A method meets only datasets of its task: ``methods: all`` means those that fit, and a method
    that is named must fit.

    Args:
        study: The study.
        methods: Names of all methods at hand.
        source: The study's file, named in errors.
        heavy: Those of them that ``all`` leaves out unless a block says ``heavy: true``.
        tasks: Task of each method and dataset whose task is not detection, by name.
        prunable: Those methods that ``compress`` may name.
        rates: Rates by name that the card of each method holds; without them names of rates are not looked up.
        starts: Names of the published weights of each method; without them starts are not looked up.

    Raises:
        ConfigError: A block names a method that has no folder or solves another task, or weights that its card lacks;
            compresses one that
            cannot be pruned or by rates that are none, gives two compressed ones the same name or one another
            size than its base, or leaves a dataset without any method.
    """
    cells: dict[str, Cell] = {}
    makers: dict[str, int] = {}
    for number, block in enumerate(study.blocks):
        everything = [name for name in methods if block.heavy or name not in heavy]
        named = everything if block.methods == "all" else block.methods
        for method in [*named, *block.budgets]:
            if method not in methods:
                fix = name_one_of(method, methods, "there is no method at all")
                if method.lower() == "all":
                    fix = "all of them are written without brackets, as `methods: all`"
                raise ConfigError(source, f"blocks.{number}.methods", method, fix)
        _check_compressions(block, prunable, tasks, f"{source}: blocks.{number}")
        if rates is not None:
            _check_rates(block, rates, f"{source}: blocks.{number}")
        named = list(dict.fromkeys([*named, *(way.method for way in block.compress)]))
        made: set[str] = set()
        for dataset in block.datasets:
            where = f"{source}: blocks.{number}"
            fitting = _fitting(block, dataset, list(named), tasks or {}, where)
            if starts is not None:
                _check_starts(block, fitting, starts, where)
            made |= {*fitting}
            for cell in _block_cells(block, dataset, fitting, tasks or {}):
                cells[cell.folder] = cell
                makers[cell.folder] = number
        _check_budget(block, made, f"{source}: blocks.{number}")
        for method in block.budgets:
            if method not in made:
                fix = f"the block does not make it: its budget has no effect; it makes {', '.join(sorted(made))}"
                raise ConfigError(source, f"blocks.{number}.budgets", method, fix)
    _check_blocks(study, makers, source)
    _check_bases(cells, source)
    return list(cells.values())


def _check_starts(
    block: Block, methods: Collection[str], starts: Mapping[str, Collection[str]], where: str
) -> None:
    """The card of every method has the weights that a block starts it from."""
    for method in methods:
        start = variant_of(_row(block, method)).start
        if start is not None and start not in starts.get(method, ()):
            own = starts.get(method, ())
            having = ", ".join(name for name, names in starts.items() if start in names)
            if own:
                fix = f"trainings of {method} start from {' or '.join(own)}: name that"
            else:
                fix = f"the card of {method} has no weights that its training opens; "
                fix += f"weights of that name have {having}" if having else "no card has that name"
            fix += "; or say start: scratch for it in `budgets`"
            raise ConfigError(where, "budget.start", start, fix)


def _check_budget(block: Block, methods: Collection[str], where: str) -> None:
    """Every field of a block's budget is that of a method whose own budget does not win over it."""
    own = [block.budgets.get(method, Budget()) for method in methods]
    for field, value in block.budget:
        if value is not None and all(getattr(budget, field) is not None for budget in own):
            fix = "`budgets` say it for every method of the block and win: leave it out"
            raise ConfigError(where, f"budget.{field}", value, fix)


def _check_blocks(study: Study, makers: Mapping[str, int], source: str | Path) -> None:
    """Every block makes a cell that no later one makes as well."""
    for number, block in enumerate(study.blocks):
        if number not in makers.values():
            fix = "later blocks make all of its cells and win: leave it out"
            raise ConfigError(source, f"blocks.{number}", block.datasets, fix)


def _check_bases(cells: Mapping[str, Cell], source: str | Path) -> None:
    """A compressed cell and its base, which a later block may have changed, have one budget."""
    for cell in cells.values():
        if cell.compression is None:
            continue
        base = cells[cell.model_copy(update={"method": cell.compression.method}).folder]
        for field in ("size", "tiles", "epochs", "batch", "recipe"):
            value, base_value = getattr(cell.budget, field), getattr(base.budget, field)
            if value != base_value:
                fix = f"{base.folder} has {base_value}; give both one {field}"
                raise ConfigError(source, f"{cell.folder}: {field}", value, fix)


def _check_compressions(
    block: Block, prunable: Collection[str], tasks: Mapping[str, str] | None, where: str
) -> None:
    """Every compressed method can be pruned in that way and has a name of its own."""
    names: set[str] = set()
    for number, compression in enumerate(block.compress):
        if compression.method not in prunable:
            fix = f"of those whose card says prunable, {name_one_of(compression.method, sorted(prunable))}"
            raise ConfigError(where, f"compress.{number}.method", compression.method, fix)
        if (
            tasks is not None
            and tasks.get(compression.method, DETECTION.name) != compression.task.name
        ):
            fix = (
                f"{compression.how} is for {compression.task.name}, and {compression.method} is not"
            )
            raise ConfigError(where, f"compress.{number}.how", compression.how, fix)
        if compressed_name(compression) in names:
            fix = "two are called so; give each a name"
            raise ConfigError(where, f"compress.{number}.name", compressed_name(compression), fix)
        names.add(compressed_name(compression))
        if is_variant(compressed_name(compression)):
            fix = "rows of other starts and epochs are called so: give it another `name`"
            raise ConfigError(where, f"compress.{number}.name", compressed_name(compression), fix)
        if not re.fullmatch(FOLDER_NAME, compressed_name(compression)):
            fix = (
                "no folder can be called so: give it a `name` of small letters, digits, '_' and '.'"
            )
            raise ConfigError(where, f"compress.{number}.name", compressed_name(compression), fix)


def _check_rates(block: Block, rates: Mapping[str, Mapping[str, Written]], where: str) -> None:
    """The card of every compressed method has what its compression names."""
    for number, compression in enumerate(block.compress):
        fault = compression.card_fault(rates.get(compression.method, {}))
        if fault is not None:
            field, value, fix = fault
            raise ConfigError(where, f"compress.{number}.{field}", value, fix)


def _fitting(
    block: Block, dataset: str, methods: list[str], tasks: Mapping[str, str], where: str
) -> list[str]:
    """Those methods that solve a dataset's task; a named one that does not is an error."""
    task = task_named(tasks.get(dataset, DETECTION.name))
    fitting = [name for name in methods if tasks.get(name, DETECTION.name) == task.name]
    odd = [name for name in methods if name not in fitting] if block.methods != "all" else []
    if odd or (methods and not fitting):
        fix = f"{dataset} is for {task.name}; name a method that solves it"
        raise ConfigError(where, "methods", odd[0] if odd else block.methods, fix)
    lost = sorted(set(block.controls) - set(task.controls))
    if lost:
        fix = f"{dataset} is for {task.name}; {name_one_of(lost[0], task.controls)}"
        raise ConfigError(where, "controls", lost[0], fix)
    budgets = [block.budget, *(block.budgets[n] for n in fitting if n in block.budgets)]
    sizes = [budget.size for budget in budgets if budget.size]
    odd_sizes = [size for size in sizes if size % task.side_multiple]
    if odd_sizes:
        fix = f"the side of an input for {task.name} is a multiple of {task.side_multiple}"
        raise ConfigError(where, "budget.size", odd_sizes[0], fix)
    _check_tiles([budget.tiles for budget in budgets if budget.tiles], dataset, task, where)
    return fitting


def _check_tiles(tilings: list[Tiling], dataset: str, task: Task, where: str) -> None:
    """Tiles are for tasks whose boxes can be moved back to the whole image, and have sides that its networks take."""
    if tilings and not task.finds_boxes:
        fix = f"{dataset} is for {task.name}, whose images are scored whole: leave it out"
        raise ConfigError(where, "budget.tiles", tilings[0].model_dump(exclude_unset=True), fix)
    odd_sides = [tiling.side for tiling in tilings if tiling.side % task.side_multiple]
    if odd_sides:
        fix = f"the side of a tile for {task.name} is a multiple of {task.side_multiple}"
        raise ConfigError(where, "budget.tiles.side", odd_sides[0], fix)


def _block_cells(
    block: Block, dataset: str, methods: list[str], tasks: Mapping[str, str]
) -> list[Cell]:
    smaller = {compressed_name(way): way for way in block.compress if way.method in methods}
    task = task_named(tasks.get(dataset, DETECTION.name))
    controls = [f"control_{kind}" for kind in task.control_rows(block.controls)]
    budgets = {name: _budget(block, name) for name in [*smaller, *controls]}
    for method in methods:
        for epochs in block.epochs or [None]:
            budget = _budget(block, method)
            asked = budget if epochs is None else budget.model_copy(update={"epochs": epochs})
            budgets[_row(block, method, epochs)] = asked
    rows = [*(name for name in budgets if name not in (*smaller, *controls)), *smaller, *controls]
    return [
        Cell(
            dataset=dataset,
            protocol=p,
            method=m,
            seed=s,
            budget=budgets[m],
            compression=smaller.get(m),
        )
        for p in _protocols(block)
        for m in rows
        for s in (block.seeds if m not in controls else [0])
    ]


def _protocols(block: Block) -> list[str]:
    """The protocols of a block, with what thins the training part behind their names."""
    if block.train_list is not None:
        return [f"{protocol}{LISTED}{block.train_list}" for protocol in block.protocols]
    return [
        protocol if share == 100 else f"{protocol}{LISTED}{share_name(share)}"
        for protocol in block.protocols
        for share in block.train_shares
    ]


def _row(block: Block, method: str, epochs: int | None = None) -> str:
    """Name of the row of a method, by the start and the epochs that a block gives it."""
    start = _budget(block, method).start
    return Variant(None if start == SCRATCH else start, epochs).name_of(method)


def _budget(block: Block, method: str) -> Budget:
    of_method = block.budgets.get(base_method(method), Budget()).model_dump(exclude_none=True)
    return Budget(**{**block.budget.model_dump(exclude_none=True), **of_method})
