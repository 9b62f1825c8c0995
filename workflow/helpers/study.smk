"""The study, where its results lie, and the input functions that rules of several topics share."""

import gc
import math
import os
from functools import cache
from shlex import quote

from defectbench.base import steps
from defectbench.base.boards import take_board
from defectbench.base.clock import bring_back
from defectbench.base.code import conversion_files, source_files
from defectbench.base.compressions import base_method
from defectbench.base.method_rules import check_method_rules, check_start_rules
from defectbench.base.mirrors import MIRROR_HASHES, mirror_state, note_on_shared_data
from defectbench.base.ownership import note_owner, refuse_another_owner, study_file
from defectbench.base.places import RESULTS, note_on_first_version, weights_folder
from defectbench.base.planning import NOBODY, pattern, plan_study
from defectbench.base.records import usable_cores
from defectbench.base.references import take_reference
from defectbench.base.studies import PROTOCOLS, base_protocol, parse_study
from defectbench.base.tasks import TASKS

# A plan of a thousand cells is two million objects that stay: looking for garbage among them is a seventh of planning.
gc.disable()

BOARD = take_board(config)
GATE = take_reference(config)
STUDY_FILE = study_file(workflow.configfiles)
STUDY = parse_study(STUDY_FILE or [*workflow.configfiles, "study"][0], config)
refuse_another_owner(STUDY, STUDY_FILE)
PLAN = plan_study(STUDY, f"study {STUDY.study}")
check_method_rules(PLAN.catalogue.names)
check_start_rules(PLAN.started_by_program)

# A study owns its runs, its report and its logs; data are shared, their parts keyed by the seed of the split.
RUNS = f"{RESULTS}/{STUDY.study}/runs"
REPORT = f"{RESULTS}/{STUDY.study}/report"
LOGS = f"{RESULTS}/{STUDY.study}/logs"
CELL = f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}"
CELL_LOGS = f"{LOGS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}"
DATA = f"{RESULTS}/data/{{dataset}}"
PARTS = f"{DATA}/{{protocol}}/split{STUDY.split_seed}"
PAPER = f"{DATA}/paper/split{STUDY.split_seed}"

# What a training asks a cluster for. Numbers, since Snakemake asks a function several times a job; one that runs out of time goes
# on from its checkpoint in the next attempt.
TRAINING_MB = 8000
TRAINING_MINUTES = 720

WEIGHTS = weights_folder("{method}", "{start}")

PREDICTING = pattern(PLAN.catalogue.predicting)
BY_PROGRAM = PLAN.catalogue.started_by_program
VARIANTS = pattern(
    cell.method for cell in PLAN.variants if base_method(cell.method) not in BY_PROGRAM
)

if note := note_on_first_version(RESULTS):
    logger.warning(note)
if workflow.is_main_process:
    if note := bring_back(RESULTS, "reference", "envs", "pinned"):
        logger.warning(note)
    for line in PLAN.left_out.values():
        logger.warning(line)


onstart:
    gc.enable()
    note_owner(STUDY, STUDY_FILE)


wildcard_constraints:
    dataset=r"[a-z0-9-]+",
    protocol=f"({'|'.join(PROTOCOLS)})(-[a-z0-9]+)?",
    size=r"\d+",
    tiles=r"s\d+-o\d+-v[0-9.e-]+-f[0-9.e-]+",
    method=r"[a-z0-9_]+(\+[a-z0-9_.]+)?",
    seed=r"\d+",
    stage=r"(sparse-[0-9a-f]{8}|pruned|pruned/channels|teacher_c)",
    sparse="sparse-[0-9a-f]{8}",
    start="[a-z][a-z0-9]*",


def cores_given():
    """What `--cores` says; None on a cluster, where each job has cores of its own."""
    return workflow.global_resources["_cores"].value


def claim(wanted):
    """Cores to claim so that real ones are never oversubscribed, even under `--cores 8` on two."""
    real = usable_cores() or 1
    asked = cores_given() or real
    return max(1, min(asked, math.ceil(wanted * max(1.0, asked / real))))


def all_cores(wildcards):
    """Everything: a job that measures time runs alone."""
    return cores_given() or 1


def cell_of(wildcards):
    """The cell that a job belongs to."""
    return PLAN.cell(
        wildcards.dataset, wildcards.protocol, wildcards.method, wildcards.seed
    )


def settings_of(make, **more):
    """Input function: the settings that a step of a cell is told, as one line of JSON."""

    def settings(wildcards):
        cell = cell_of(wildcards)
        return steps.as_json(make(cell, PLAN.recipe(cell), **more))

    return settings


def training_cores(wildcards):
    """Cores that a cell's training claims from the scheduler."""
    return claim(steps.thread_count(cell_of(wildcards)))


def gpu_slots(wildcards):
    """Slots of the GPU that a cell's training claims: none on a processor."""
    return steps.gpu_slots(cell_of(wildcards))


def gpus(wildcards):
    """GPUs that a cell's training asks a cluster for; nothing is asked for where it trains on a processor."""
    return steps.gpu_slots(cell_of(wildcards)) or None


def pack_of(part):
    """Input function: a cell's pack of one part, at the cell's size, of tiles where its images are cut."""

    def path(wildcards):
        cell = cell_of(wildcards)
        parts = PARTS.format(dataset=cell.dataset, protocol=cell.protocol)
        return f"{parts}/{steps.pack_file(cell, PLAN.recipe(cell), part)}"

    return path


def method_folder(wildcards):
    """Folder of a cell's method, which is that of its base where it is compressed."""
    return f"models/{base_method(wildcards.method)}"


def recipe_file(wildcards):
    """The recipe of a cell's method."""
    return f"{method_folder(wildcards)}/recipe.yaml"


def method_files(wildcards):
    """What a cell is made of: its recipe, its method's modules and every module of the suite that they import."""
    return files_of_method(method_folder(wildcards))


@cache
def files_of_method(folder):
    """The files of a method's folder and of the suite that its networks are made of, as inputs."""
    return [f"{folder}/recipe.yaml", *map(os.path.relpath, source_files(folder))]


def class_count(wildcards):
    """Number of classes of a cell's dataset, by its card."""
    return len(PLAN.datasets[wildcards.dataset].classes)


def base_file(name):
    """Input function: a file of the cell that a compressed one is made of."""

    def path(wildcards):
        return f"{RUNS}/{PLAN.base_of(cell_of(wildcards)).folder}/{name}"

    return path


def base_weights(wildcards):
    """Weights of a compressed cell's base and the record of their training."""
    return [
        base_file(name)(wildcards) for name in ("weights.safetensors", "train.json")
    ]


def teacher_files(wildcards):
    """Weights and record of a cell's teacher; none where its recipe says `kd: none`."""
    cell = cell_of(wildcards)
    if PLAN.changed_recipe(cell).options.get("kd") == "none":
        return []
    names = ("weights.safetensors", "train.json")
    return [f"{RUNS}/{cell.folder}/teacher/{name}" for name in names]


def start_files(wildcards):
    """Published weights that a cell starts from and the record of them; none for a start from scratch."""
    cell = cell_of(wildcards)
    if cell.start is None:
        return []
    folder = weights_folder(base_method(cell.method), cell.start)
    card = PLAN.catalogue.cards[base_method(cell.method)]
    names = (card.weights[cell.start].file, "published.json")
    return [ancient(f"{folder}/{name}") for name in names]


# Modules that convert published files and unfold their norms: what they mend is in each start.
CONVERSION = [os.path.relpath(file) for file in conversion_files()]


def conversion_of_start(wildcards):
    """The same modules for a cell that starts from published weights; none for a start from scratch."""
    return [] if cell_of(wildcards).start is None else CONVERSION


def published_of(wildcards):
    """What a method's card says of published weights, so that they are made again where it changes."""
    card = PLAN.catalogue.cards[wildcards.method]
    return card.weights[wildcards.start].recorded()


def published_of_cell(wildcards):
    """What decides the weights that a cell starts from, by the card, so that it is trained again where that changes."""
    cell = cell_of(wildcards)
    if cell.start is None:
        return ""
    card = PLAN.catalogue.cards[base_method(cell.method)]
    return card.weights[cell.start].deciding()


def weights_mirror_option(wildcards):
    """The study's folder of published weights as an option of `fetch-weights`."""
    mirror = STUDY.weights_mirror
    return f"--mirror={quote(mirror)}" if mirror else ""


def annotations_of(wildcards):
    """Truth of a protocol: `paper` has images, hence labels, of its own."""
    return f"{PAPER if wildcards.protocol == 'paper' else DATA}/annotations.json"


def certificates():
    """The certificate of every dataset and protocol of the study."""
    return [
        f"{PARTS}/certificate.json".format(dataset=dataset, protocol=protocol)
        for dataset, protocol in PLAN.places()
    ]


def option(name, files):
    """The first of some files as an option of a step; nothing where there is none."""
    return f"--{name} {quote(str(files[0]))}" if files else ""


def start_option(wildcards, input):
    """The weights that a cell starts from as an option of `train`."""
    return option("start", input.start)


def teacher_option(wildcards, input):
    """The teacher of a cell as an option of `train`."""
    return option("teacher", input.teacher)
