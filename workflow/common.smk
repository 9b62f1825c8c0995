"""The study, its cells, and the input functions of the rules."""

import json
import math
import os
import re
from shlex import quote

from defectbench.base.cards import dataset_tasks, load_dataset_card
from defectbench.base.catalogue import load_catalogue
from defectbench.base.compressions import AFRESH, base_method
from defectbench.base.methods import load_recipe, override_recipe
from defectbench.base.studies import (
    LISTED,
    base_protocol,
    expand_cells,
    parse_study,
)

STUDY = parse_study(f"study {config['study']}", config)
CATALOGUE = load_catalogue("models")
METHODS = CATALOGUE.names
PREDICTING = CATALOGUE.predicting
EXPORTING = "|".join(
    rf"{name}(\+[a-z0-9_.]+)?" for name in METHODS if name not in PREDICTING
)
DATASETS = {name for block in STUDY.blocks for name in block.datasets}
TASKS = {**CATALOGUE.tasks, **dataset_tasks(DATASETS)}
CELLS = {
    cell.folder: cell
    for cell in expand_cells(
        STUDY,
        METHODS,
        STUDY.study,
        CATALOGUE.heavy,
        TASKS,
        CATALOGUE.prunable,
        CATALOGUE.rates,
    )
}
NOBODY = "no_method_of_its_own"
RUNS = "results/runs"
FILES = {
    "detection": ("comparison.csv", "comparison.md", "comparison.tex", "per_class.csv")
    + ("pairs.csv", "leakage.csv"),
    "classification": ("classification.csv", "classification.md")
    + ("classification.tex", "classification_per_class.csv")
    + ("classification_pairs.csv",),
}
TABLES = [
    f"results/report/{file}"
    for task, files in FILES.items()
    if task in {TASKS[name] for name in DATASETS}
    for file in files
]
REPORT = [
    *TABLES,
    "results/report/figures",
    "results/report/gallery",
    "results/report/index.html",
]


wildcard_constraints:
    dataset=r"[a-z0-9-]+",
    protocol="(clean|random|sequential|paper)(-[a-z0-9]+)?",
    part="train|val|test",
    size=r"\d+",
    method=r"[a-z0-9_]+(\+[a-z0-9_.]+)?",
    seed=r"\d+",
    stage="(sparse-[0-9a-f]{8}/|pruned/(channels/)?|teacher_c/)?",
    sparse="sparse-[0-9a-f]{8}",
    control="memoriser|class_prior|oracle|label_jitter",


def names_compressed_by(*hows):
    """Pattern of the compressed methods of the study that are made so."""
    found = {
        re.escape(cell.method)
        for cell in CELLS.values()
        if cell.compression is not None and cell.compression.how in hows
    }
    return "|".join(sorted(found) or [NOBODY])


def bases_compressed_by(how):
    """Pattern of the methods that these are made of."""
    found = {
        cell.compression.method
        for cell in CELLS.values()
        if cell.compression is not None and cell.compression.how == how
    }
    return "|".join(sorted(found) or [NOBODY])


COMPRESSED = names_compressed_by("slimming", "cfp")


def claim(wanted):
    """Cores to claim so that real ones are never oversubscribed, even under `--cores 8` on two."""
    real = len(os.sched_getaffinity(0))
    asked = workflow.cores or real
    return max(1, min(asked, math.ceil(wanted * max(1.0, asked / real))))


def all_cores(wildcards):
    """Everything: a job that measures time runs alone."""
    return workflow.cores or 1


def cell_of(wildcards):
    """The cell that a job belongs to."""
    return CELLS[
        f"{wildcards.dataset}/{wildcards.protocol}/{wildcards.method}/seed{wildcards.seed}"
    ]


def budget(wildcards, field):
    """One figure of a cell's budget: the study's, else the recipe's."""
    own = getattr(cell_of(wildcards).budget, field)
    return (
        own
        if own is not None
        else getattr(load_recipe(f"models/{base_method(wildcards.method)}"), field)
    )


def training_size(wildcards):
    """Side of a cell's input, pixels."""
    return budget(wildcards, "size")


def training_threads(wildcards):
    """Threads of a cell's training; two unless the study says otherwise."""
    return cell_of(wildcards).budget.threads or 2


def training_cores(wildcards):
    """Cores that a cell's training claims from the scheduler."""
    return claim(training_threads(wildcards))


def work_options(wildcards):
    """Threads and device of a cell as options."""
    device = cell_of(wildcards).budget.device or "auto"
    return f"--threads {training_threads(wildcards)} --device {device}"


def budget_options(wildcards, epochs=None, batch=None):
    """A cell's budget as options of the training programs; a stage may have epochs and a batch of its own."""
    figures = {
        "epochs": epochs or budget(wildcards, "epochs"),
        "batch": batch or budget(wildcards, "batch"),
    }
    options = " ".join(f"--{field} {value}" for field, value in figures.items())
    return f"{options} {work_options(wildcards)}"


def recipe_options(wildcards, changes=None):
    """The study's changes to a cell's recipe as options of `train`; a stage may have more of its own."""
    fields = {**(cell_of(wildcards).budget.recipe or {}), **(changes or {})}
    return " ".join(
        f"--set {quote(f'{name}={json.dumps(value)}')}"
        for name, value in fields.items()
    )


def pack_of(part):
    """Input function: a cell's pack of one part, at the cell's size."""

    def path(wildcards):
        size = budget(wildcards, "size")
        return f"results/data/{wildcards.dataset}/{wildcards.protocol}/{part}@{size}.safetensors"

    return path


def method_folder(wildcards):
    """Folder of a cell's method, which is that of its base where it is compressed."""
    return f"models/{base_method(wildcards.method)}"


def method_files(wildcards):
    """What a cell depends on of its method: its own file and its recipe."""
    folder = method_folder(wildcards)
    return [f"{folder}/{base_method(wildcards.method)}.py", f"{folder}/recipe.yaml"]


def class_count(wildcards):
    """Number of classes of a cell's dataset, by its card."""
    return len(load_dataset_card(f"datasets/{wildcards.dataset}.yaml").classes)


def teacher_files(wildcards):
    """Weights and record of a cell's teacher; none where its recipe says `kd: none`."""
    fields = cell_of(wildcards).budget.recipe or {}
    recipe = override_recipe(load_recipe(f"models/{wildcards.method}"), fields)
    if recipe.options.get("kd") == "none":
        return []
    folder = f"{wildcards.dataset}/{wildcards.protocol}/{wildcards.method}/seed{wildcards.seed}"
    return [
        f"{RUNS}/{folder}/teacher/{file}"
        for file in ("weights.safetensors", "train.json")
    ]


def teacher_option(wildcards, input):
    """The teacher of a cell as an option of `train`."""
    return f"--teacher {input.teacher[0]}" if input.teacher else ""


def base_file(name):
    """Input function: a file of the cell that a compressed one is made of."""

    def path(wildcards):
        base = base_method(wildcards.method)
        return f"{RUNS}/{wildcards.dataset}/{wildcards.protocol}/{base}/seed{wildcards.seed}/{name}"

    return path


def base_weights(wildcards):
    """Weights of a compressed cell's base and the record of their training."""
    return [
        base_file(name)(wildcards) for name in ("weights.safetensors", "train.json")
    ]


def mirror_option(wildcards):
    """The study's mirror of a dataset as an option of `acquire`."""
    mirror = STUDY.mirrors.get(wildcards.dataset)
    return f"--mirror {mirror}" if mirror else ""


def annotations_of(wildcards):
    """Truth of a protocol: `paper` has images, hence labels, of its own."""
    folder = f"results/data/{wildcards.dataset}"
    return (
        f"{folder}/paper/annotations.json"
        if wildcards.protocol == "paper"
        else f"{folder}/annotations.json"
    )


def paper_inputs(wildcards):
    """What only the protocol `paper` needs before its split."""
    return (
        f"results/data/{wildcards.dataset}/paper/annotations.json"
        if wildcards.protocol == "paper"
        else []
    )


def published_lists(wildcards):
    """The lists that seed 0 of a protocol stands for, where the dataset's card names some."""
    card = load_dataset_card(f"datasets/{wildcards.dataset}.yaml")
    protocol = base_protocol(wildcards.protocol)
    if STUDY.split_seed or protocol not in card.splits:
        return []
    return f"datasets/{card.splits[protocol]}"


def train_list(wildcards):
    """The list that thins the training part of a protocol, where its name holds one."""
    name = wildcards.protocol.partition(LISTED)[2]
    card = load_dataset_card(f"datasets/{wildcards.dataset}.yaml")
    return card.train_list(name) if name else []


def train_list_option(wildcards, input):
    """A list that thins the training part as an option of `split`."""
    return f"--train-list {input.train_list}" if input.train_list else ""


def part_lists(wildcards):
    """The lists of a split; with those of a thinned training part, what it leaves out."""
    names = ["train", "val", "test"]
    if LISTED in wildcards.protocol:
        names.append("left_out")
    folder = f"results/data/{wildcards.dataset}/{wildcards.protocol}"
    return [f"{folder}/{name}.txt" for name in names]


def published_option(wildcards, input):
    """Published lists as an option of `split`."""
    return f"--published {input.published}" if input.published else ""


def operating_point(wildcards):
    """The record of a detector's threshold; a classifier has none."""
    if TASKS[wildcards.dataset] == "classification":
        return []
    folder = f"{wildcards.dataset}/{wildcards.protocol}/{wildcards.method}/seed{wildcards.seed}"
    return f"{RUNS}/{folder}/operating_point.json"


def base_operating_point(wildcards):
    """The same of a compressed cell's base."""
    own = operating_point(wildcards)
    return base_file("operating_point.json")(wildcards) if own else []


def operating_points_option(wildcards, input):
    """The thresholds of a compressed detector and its base as options of `time-beside`."""
    if not input.point:
        return ""
    return f"--operating-point {input.point} --base-operating-point {input.base_point}"


def operating_point_option(wildcards, input):
    """A detector's threshold as an option of `time`."""
    return f"--operating-point {input.point}" if input.point else ""


def latency_options(wildcards):
    """The study's latency protocol as options of `time`."""
    settings = STUDY.latency.model_dump()
    return " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in settings.items()
    )


def certificates():
    """The certificate of every dataset and protocol of the study."""
    pairs = dict.fromkeys((cell.dataset, cell.protocol) for cell in CELLS.values())
    return [
        f"results/data/{dataset}/{protocol}/certificate.json"
        for dataset, protocol in pairs
    ]


def study_records():
    """Every record that the report of the study stands on."""
    scored = [f"{RUNS}/{folder}/accuracy.json" for folder in CELLS]
    trained = [folder for folder, cell in CELLS.items() if not cell.is_control]
    return (
        scored
        + [
            f"{RUNS}/{folder}/{kind}"
            for folder in trained
            for kind in records_of(folder)
        ]
        + shared_records()
        + certificates()
    )


def records_of(folder):
    """What the report reads of a trained cell beside its score."""
    if CELLS[folder].method in PREDICTING:
        return ("latency/own.json", "train.json")
    own = ("complexity.json", "latency/onnxruntime.json", "train.json")
    if CELLS[folder].compression is None:
        return own
    if getattr(CELLS[folder].compression, "choose", "") in AFRESH:
        return (*own, "pruned/prune.json", "beside_base.json")
    cuts = ["pruned/"]
    if getattr(CELLS[folder].compression, "drop_units", 0):
        cuts.append("pruned/channels/")
    names = ("accuracy", "complexity", "prune")
    pruned = [f"{cut}{name}.json" for cut in cuts for name in names]
    return (*own, *pruned, "beside_base.json")


def shared_records():
    """What the report reads of the trainings that several compressed cells start from."""
    found = {}
    for cell in CELLS.values():
        one = cell.compression
        if one is None:
            continue
        folder = f"{RUNS}/{cell.dataset}/{cell.protocol}/{one.method}/seed{cell.seed}"
        if one.how == "slimming":
            for name in ("accuracy", "complexity", "train"):
                found[f"{folder}/{one.sparse_folder}/{name}.json"] = None
        elif one.choose != "thin" and "c" in one.taught_by:
            found[f"{folder}/teacher_c/accuracy.json"] = None
    return list(found)


def study_cards():
    """The cards of its methods: their titles and claims stand in the report."""
    names = {base_method(cell.method) for cell in CELLS.values() if not cell.is_control}
    return [f"models/{name}/card.yaml" for name in sorted(names)]


def study_folders():
    """The folder of every cell."""
    return [f"{RUNS}/{folder}" for folder in CELLS]
