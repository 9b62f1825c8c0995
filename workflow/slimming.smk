"""Input functions of network slimming."""

from defectbench.base.compressions import slimming_options
from defectbench.base.errors import ConfigError

SLIMMED = names_compressed_by("slimming")
SLIMMING_BASES = bases_compressed_by("slimming")


def sparse_stage(wildcards):
    """How the networks that start from one sparse training of a base are slimmed; they agree on that stage.

    Raises:
        ConfigError: Nothing of the study starts from it.
    """
    place = (wildcards.dataset, wildcards.protocol, int(wildcards.seed))
    known = {
        cell.compression.sparse_folder: cell.compression
        for cell in CELLS.values()
        if (cell.dataset, cell.protocol, cell.seed) == place
        and cell.compression is not None
        and cell.compression.how == "slimming"
        and cell.compression.method == wildcards.method
    }
    if wildcards.sparse not in known:
        fix = f"nothing in it starts from that; {wildcards.method} has {', '.join(known) or 'none'}"
        raise ConfigError(f"study {STUDY.study}", "sparse", wildcards.sparse, fix)
    return known[wildcards.sparse]


def sparse_budget(wildcards):
    """The budget of a sparse training as options of `train`."""
    own = sparse_stage(wildcards).sparse
    return budget_options(wildcards, own.epochs, own.batch)


def sparse_recipe(wildcards):
    """The recipe of a sparse training as options of `train`."""
    return recipe_options(wildcards, sparse_stage(wildcards).recipe_of("sparse"))


def sparse_options(wildcards, input):
    """What the sparse training takes from its base."""
    return f"--as sparse --start {input.start[0]}"


def sparse_weights(wildcards):
    """Weights of the sparse training behind a cell and their record."""
    folder = cell_of(wildcards).compression.sparse_folder
    return [
        base_file(f"{folder}/{name}")(wildcards)
        for name in ("weights.safetensors", "train.json")
    ]


def recovery_budget(wildcards):
    """The budget of the training after the cut as options of `train`."""
    own = cell_of(wildcards).compression
    epochs = own.last_epochs(budget(wildcards, "epochs"))
    batch = None if own.choose == "thin" else own.recovery.batch
    return budget_options(wildcards, epochs, batch)


def recovery_recipe(wildcards):
    """The recipe of the training after the cut as options of `train`."""
    return recipe_options(
        wildcards, cell_of(wildcards).compression.recipe_of("recovery")
    )


def pruning_options(wildcards):
    """How much of a compressed cell goes, as options of `check-pruning` and `prune`."""
    return slimming_options(cell_of(wildcards).compression)


def channels_alone_options(wildcards):
    """The same cut before its residual units go, as options of `prune`."""
    return f"{pruning_options(wildcards)} --channels-alone"


def statistics_options(wildcards):
    """What the statistics of what is left are measured on, as options of `prune`."""
    batches = f"--batches {cell_of(wildcards).compression.batches} --batch {budget(wildcards, 'batch')}"
    return f"{batches} {work_options(wildcards)}"


def teaching_option(wildcards):
    """How the recovery is taught, as an option of `check-pruning`."""
    return f"--kd {cell_of(wildcards).compression.kd}"


def recovery_teacher(wildcards):
    """The base as the teacher of a compressed cell; none where the study says `kd: none`."""
    kd = cell_of(wildcards).compression.kd
    return [] if kd == "none" else base_weights(wildcards)


def recovery_options(wildcards, input):
    """What the recovery takes from the stages before it; a control that starts afresh takes the plan alone."""
    thin = cell_of(wildcards).compression.choose == "thin"
    start = "" if thin else f"--start {input.start} "
    return (
        f"--as recovery {start}--plan {input.plan} {teacher_option(wildcards, input)}"
    )
