"""The plan of a study: its cells, and what its rules ask of them. It is made without data and without torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .cards import MADE_HERE, DatasetCard, load_dataset_card, load_shelf
from .catalogue import Catalogue, load_catalogue
from .compressions import Slimming, base_method
from .engines import Form
from .errors import ConfigError
from .methods import (
    CONTROL,
    MethodCard,
    Recipe,
    load_recipe,
    override_recipe,
    refuse_no_training,
    refuse_without_effect,
)
from .options import refuse_options
from .places import RESULTS
from .stages import Stage
from .steps import slimming_of
from .strict import name_one_of
from .studies import LISTED, Cell, Study, base_protocol, expand_cells, train_share
from .tasks import TASKS
from .tiling import Tiling
from .variants import is_variant

NOBODY = "no_method_of_its_own"  # matches no folder


@dataclass(frozen=True)
class StudyPlan:
    """What a study makes.

    Attributes:
        study: The study.
        catalogue: The cards of all methods.
        datasets: The cards of its datasets, by name.
        cells: Its cells, by folder.
        models_dir: Folder of the methods.
        left_out: Why a dataset that the study names has no cells, by name: a person has to get it first.
    """

    study: Study
    catalogue: Catalogue
    datasets: dict[str, DatasetCard]
    cells: dict[str, Cell]
    models_dir: Path
    left_out: dict[str, str] = field(default_factory=dict)

    def cell(self, dataset: str, protocol: str, method: str, seed: int | str) -> Cell:
        """One cell.

        Raises:
            ConfigError: The study has no such cell.
        """
        folder = f"{dataset}/{protocol}/{method}/seed{seed}"
        if folder not in self.cells:
            fix = f"it is no cell of this study; `snakemake --dry-run all` lists those that are; {len(self.cells)} are"
            raise ConfigError(f"study {self.study.study}", "cell", folder, fix)
        return self.cells[folder]

    def base_of(self, cell: Cell) -> Cell:
        """The cell that a compressed one is made of; of any other one the cell itself."""
        if cell.compression is None:
            return cell
        return self.cells[cell.model_copy(update={"method": base_method(cell.method)}).folder]

    def recipe(self, cell: Cell) -> Recipe:
        """The recipe of a cell's method, or of its base, as it stands in the method's folder."""
        name = base_method(cell.method)
        if name not in self._recipes:
            self._recipes[name] = load_recipe(self.models_dir / name)
        return self._recipes[name]

    @cached_property
    def _recipes(self) -> dict[str, Recipe]:
        """Those that were read: a rule asks for each several times."""
        return {}

    def changed_recipe(self, cell: Cell) -> Recipe:
        """The same with the study's changes."""
        return override_recipe(self.recipe(cell), cell.budget.recipe or {}, cell.folder)

    @cached_property
    def trained(self) -> list[Cell]:
        """Cells that are no controls."""
        return [cell for cell in self.cells.values() if not cell.is_control]

    @cached_property
    def raced(self) -> list[Cell]:
        """Cells with a model file, which is timed."""
        return [cell for cell in self.trained if cell.method not in self.catalogue.predicting]

    def tiling(self, key: str) -> Tiling:
        """How images are cut into tiles whose packs bear a key.

        Raises:
            ConfigError: No cell of the study cuts them so.
        """
        tilings = {t.key: t for cell in self.trained if (t := cell.budget.tiles) is not None}
        if key not in tilings:
            fix = name_one_of(key, tilings, "it cuts no images into tiles")
            raise ConfigError(f"study {self.study.study}", "tiles", key, fix)
        return tilings[key]

    @cached_property
    def variants(self) -> list[Cell]:
        """Cells with another start or number of epochs than their method's own row."""
        return [cell for cell in self.trained if is_variant(cell.method)]

    @cached_property
    def started_by_program(self) -> dict[str, list[str]]:
        """Rows that start from weights which their method's own program opens, by method."""
        rows: dict[str, list[str]] = {}
        for row in dict.fromkeys(cell.method for cell in self.variants):
            if base_method(row) in self.catalogue.started_by_program:
                rows.setdefault(base_method(row), []).append(row)
        return rows

    @cached_property
    def forms(self) -> list[Form]:
        """Forms of the raced files beyond the artifact itself."""
        return [form for form in self.study.forms if not form.is_artifact]

    def compressed(self, how: str) -> list[Cell]:
        """Cells that are compressed in one way."""
        return [
            cell
            for cell in self.cells.values()
            if cell.compression is not None and cell.compression.how == how
        ]

    def names_compressed(self, how: str) -> str:
        """Pattern of the methods that are compressed in one way."""
        return pattern(cell.method for cell in self.compressed(how))

    def bases_compressed(self, how: str) -> str:
        """Pattern of the methods that these are made of."""
        return pattern(base_method(cell.method) for cell in self.compressed(how))

    def datasets_of(self, task: str) -> list[str]:
        """Names of the study's datasets of a task."""
        return [name for name, card in self.datasets.items() if card.task == task]

    def controls_of(self, task: str) -> list[str]:
        """Kinds of controls that the study asks for on datasets of a task, in the task's order."""
        wanted = {
            cell.method.removeprefix(CONTROL)
            for cell in self.cells.values()
            if cell.is_control and self.datasets[cell.dataset].task == task
        }
        of_task = TASKS[task]
        return [kind for kind in of_task.control_rows(of_task.controls) if kind in wanted]

    def is_trained_by_engine(self, cell: Cell) -> bool:
        """Whether the suite's own engine trains a cell's method, and no program of its own."""
        return base_method(cell.method) in self.catalogue.trained_by_engine

    def finds_boxes(self, cell: Cell) -> bool:
        """Whether a cell is a detector, whose score depends on a threshold once it is deployed."""
        return TASKS[self.datasets[cell.dataset].task].finds_boxes

    def published_lists(self, dataset: str, protocol: str) -> list[str]:
        """The lists that seed 0 of a protocol stands for, where the dataset's card names some."""
        card = self.datasets[dataset]
        splits: dict[str, str] = {**card.splits}
        base = base_protocol(protocol)
        if self.study.split_seed or base not in splits:
            return []
        return [(card.folder / splits[base]).as_posix()]

    def train_lists(self, dataset: str, protocol: str) -> list[str]:
        """The list that thins the training part of a protocol, where its name holds one."""
        if train_share(protocol) is not None:
            return []
        name = protocol.partition(LISTED)[2]
        return [self.datasets[dataset].train_list(name).as_posix()] if name else []

    def sparse_cell(self, base: Cell, folder: str) -> Cell:
        """One of the slimmed cells behind a sparse training of a base; all agree on that stage.

        Raises:
            ConfigError: Nothing of the study starts from it.
        """
        started = {
            slimming_of(cell).sparse_folder: cell
            for cell in self.trained
            if isinstance(cell.compression, Slimming) and self.base_of(cell) == base
        }
        if folder not in started:
            fix = (
                f"nothing in it starts from that; {base.method} has {', '.join(started) or 'none'}"
            )
            raise ConfigError(f"study {self.study.study}", "sparse", folder, fix)
        return started[folder]

    def places(self) -> list[tuple[str, str]]:
        """Datasets and protocols of the study, each pair once."""
        return list(dict.fromkeys((cell.dataset, cell.protocol) for cell in self.cells.values()))

    def base_methods(self) -> list[str]:
        """Names of the methods, and of the bases of compressed ones, sorted."""
        return sorted({base_method(cell.method) for cell in self.trained})

    def records(self) -> list[str]:
        """Every record that the report stands on but certificates, as paths below the folder of the runs."""
        paths = [f"{folder}/accuracy.json" for folder in self.cells]
        paths += [f"{c.folder}/{name}" for c in self.trained for name in self._beside_score(c)]
        return list(dict.fromkeys([*paths, *self._shared_records()]))

    def _beside_score(self, cell: Cell) -> list[str]:
        """What the report reads of a trained cell beside its score."""
        if cell.method in self.catalogue.predicting:
            return ["latency/own.json", "train.json"]
        measured = ["complexity.json", "latency/onnxruntime.json", "train.json"]
        measured += [path for form in self.forms for path in form.records]
        measured += [path for path in self.study.latency_records if path not in measured]
        return measured + (cell.compression.cut_records if cell.compression else [])

    def _shared_records(self) -> list[str]:
        """What the report reads of the trainings that several compressed cells start from."""
        return [
            f"{self.base_of(cell).folder}/{path}"
            for cell in self.cells.values()
            if cell.compression is not None
            for path in cell.compression.shared_records
        ]


def plan_study(
    study: Study,
    source: str | Path = "study",
    models_dir: str | Path = "models",
    datasets_dir: str | Path = "datasets",
    results: str | Path = RESULTS,
) -> StudyPlan:
    """List the cells of a study and check all that can be checked without data.

    A dataset that no program can get, and of which the study names no folder, has no cells unless its data are there.

    Args:
        study: The study.
        source: Its file, named in errors.
        models_dir: Folder of the methods.
        datasets_dir: Folder of the cards.
        results: Folder of the results, which may hold data of a dataset.

    Raises:
        ConfigError: The study names what does not exist or does not fit, or says something that has no effect; or it
            names no dataset that can be had.
    """
    catalogue = load_catalogue(models_dir)
    names = dict.fromkeys(name for block in study.blocks for name in block.datasets)
    cards = {name: _card(name, Path(datasets_dir), source) for name in names}
    for name, mirror in study.mirrors.items():
        if name not in cards:
            fix = name_one_of(name, cards, "there is none")
            raise ConfigError(
                source, f"mirrors.{name}", mirror, f"no block has that dataset; {fix}"
            )
        if cards[name].source.kind == "synthetic":
            raise ConfigError(source, f"mirrors.{name}", mirror, MADE_HERE)
    _check_lists(study, cards, source)
    _check_official(study, cards, source)
    left_out = _out_of_reach(study, cards, Path(results))
    if len(left_out) == len(cards):
        raise ConfigError(source, "datasets", [*left_out], "; ".join(left_out.values()))
    named, study = study, _without(study, left_out)
    cards = {name: card for name, card in cards.items() if name not in left_out}
    tasks = {**catalogue.tasks, **{name: card.task for name, card in cards.items()}}
    cells = expand_cells(
        study,
        catalogue.names,
        source,
        catalogue.heavy,
        tasks,
        catalogue.prunable,
        catalogue.rates,
        catalogue.starts,
    )
    by_folder = {cell.folder: cell for cell in cells}
    plan = StudyPlan(named, catalogue, cards, by_folder, Path(models_dir), left_out)
    _check_recipes(plan, source)
    if "latency" in study.model_fields_set and not plan.raced:
        fix = "it has no effect: the study makes no model file that is timed; leave it out"
        raise ConfigError(source, "latency", study.latency.model_dump(exclude_unset=True), fix)
    starts = any(cell.start for cell in plan.trained)
    if study.weights_mirror is not None and not (starts or left_out):
        fix = "it has no effect: no budget says `start`; leave it out"
        raise ConfigError(source, "weights_mirror", study.weights_mirror, fix)
    if plan.forms and not plan.raced:
        fix = "they have no effect: the study makes no model file; leave `engines` and `precisions` out"
        raise ConfigError(source, "engines", [form.name for form in plan.forms], fix)
    return plan


def _card(name: str, folder: Path, source: str | Path) -> DatasetCard:
    """The card of a dataset that a study names."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        also = [card.name for card in load_shelf(folder) if name in card.also_called]
        if also:
            fix = f"its card is called {also[0]} here: write that"
            raise ConfigError(source, "datasets", name, fix)
        names = sorted(card.stem for card in folder.glob("*.yaml"))
        fix = name_one_of(name, names, f"there is no card in {folder}")
        raise ConfigError(source, "datasets", name, f"there is no {path}; {fix}")
    card = load_dataset_card(path)
    if card.name != name:
        raise ConfigError(source, "datasets", name, f"give the name alone: {card.name}")
    return card


def _out_of_reach(study: Study, cards: dict[str, DatasetCard], results: Path) -> dict[str, str]:
    """Datasets that a person has to get, of which the study names no mirror and no data are there; with what to do."""
    return {
        name: f"{name} is left out: no program can get it, and `mirrors` name no copy; {card.source.how_to_get()}"
        for name, card in cards.items()
        if card.source.needs_a_person
        and name not in study.mirrors
        and not (results / "data" / name / "source.json").is_file()
    }


def _without(study: Study, left_out: Collection[str]) -> Study:
    """The study without some datasets, and without the blocks that name no other ones."""
    blocks = [
        block.model_copy(update={"datasets": [n for n in block.datasets if n not in left_out]})
        for block in study.blocks
    ]
    return study.model_copy(update={"blocks": [block for block in blocks if block.datasets]})


def _check_official(study: Study, cards: dict[str, DatasetCard], source: str | Path) -> None:
    """Where a study takes the publisher's parts, each dataset's card says which they are."""
    for number, block in enumerate(study.blocks):
        for name in block.datasets if "official" in block.protocols else ():
            if cards[name].official is None:
                fix = f"the publisher of {name} lists no parts; take another protocol"
                raise ConfigError(source, f"blocks.{number}.protocols", "official", fix)


def _check_lists(study: Study, cards: dict[str, DatasetCard], source: str | Path) -> None:
    """Every list that thins a training part stands on the cards of its block's datasets."""
    for number, block in enumerate(study.blocks):
        for name in block.datasets if block.train_list is not None else []:
            if block.train_list not in cards[name].train_lists:
                lists = cards[name].train_lists
                fix = name_one_of(str(block.train_list), lists, f"the card of {name} has none")
                where = f"blocks.{number}.train_list"
                raise ConfigError(source, where, block.train_list, fix)


def _check_recipes(plan: StudyPlan, source: str | Path) -> None:
    """Every change of a recipe names a field of it that has an effect, and has a value that fits.

    What a block asks of a method on a dataset is the same under each of its protocols and seeds.
    """
    asked = {(cell.method, cell.dataset, id(cell.budget)): cell for cell in reversed(plan.trained)}
    for cell in reversed(asked.values()):
        where = f"{source}: {cell.folder}"
        changes = cell.budget.recipe or {}
        recipe = override_recipe(plan.recipe(cell), changes, where)
        epochs = cell.budget.epochs or recipe.epochs
        refuse_without_effect(recipe, changes, where, epochs)
        _check_training(plan, cell, recipe, where)
        if cell.compression is not None:
            for stage in cell.compression.stages:
                changes = cell.compression.recipe_of(stage)
                of_stage = override_recipe(recipe, changes, f"{where}: {stage}")
                written: Stage = getattr(cell.compression, stage)
                is_last = stage == cell.compression.stages[-1]
                passes = cell.compression.last_epochs(epochs) if is_last else written.epochs
                refuse_without_effect(
                    of_stage, written.recipe, f"{where}: {stage}", passes or epochs
                )
                _check_training(plan, cell, of_stage, f"{where}: {stage}")


def _check_training(plan: StudyPlan, cell: Cell, recipe: Recipe, where: str) -> None:
    """A recipe is one that the method of a cell can follow."""
    name = base_method(cell.method)
    card = plan.catalogue.cards[name]
    if cell.budget.tiles is not None and cell.method in plan.catalogue.predicting:
        fix = f"{name} predicts by itself, on whole images: give it a budget without tiles"
        raise ConfigError(where, "budget.tiles", cell.budget.tiles.key, fix)
    if is_variant(cell.method):
        _check_variant(card, recipe, cell, where)
    if card.takes is not None:
        for change in cell.budget.recipe or {}:
            if not any(f"{change}.".startswith(f"{field}.") for field in card.takes):
                fix = f"{name} does not read it; it reads {', '.join(card.takes)}"
                raise ConfigError(where, "recipe", change, fix)
    if card.family == "engine":
        refuse_options(recipe.options, plan.models_dir / name, where)
        refuse_no_training(recipe, card, where)
    if card.fitted and cell.budget.epochs is not None:
        fix = f"{name} looks at the images once: give {cell.dataset} a block of its own, without epochs"
        raise ConfigError(where, "budget.epochs", cell.budget.epochs, fix)


def _check_variant(card: MethodCard, recipe: Recipe, cell: Cell, where: str) -> None:
    """A row of another start or number of epochs is of a method that the engine trains, by one training.

    A method's own program may start from published weights that it alone opens.
    """
    if cell.start is not None and card.weights[cell.start].is_of_program:
        return
    if card.family != "engine":
        fix = f"{card.name} is trained by its own program: give it a block of its own, with its epochs in the budget"
        raise ConfigError(where, "method", cell.method, fix)
    if recipe.options.get("kd", "none") != "none":
        fix = f"{card.name} learns from a teacher that is trained first: name a method without one, or options.kd: none"
        raise ConfigError(where, "method", cell.method, fix)


def pattern(names: Iterable[str]) -> str:
    r"""A pattern that matches these names and nothing else; without names it matches nothing.

    Example:
        >>> pattern(["vgg16+cfpv39", "vgg16+cfpv39", "a"])
        'a|vgg16\\+cfpv39'
        >>> pattern([])
        'no_method_of_its_own'
    """
    return "|".join(sorted({re.escape(name) for name in names}) or [NOBODY])
