"""Input functions of network slimming."""

SLIMMED = PLAN.names_compressed("slimming")
SLIMMING_BASES = PLAN.bases_compressed("slimming")


def sparse_settings(wildcards):
    """The settings of a sparse training, which lies in the base's folder."""
    base = cell_of(wildcards)
    slimmed = PLAN.sparse_cell(base, wildcards.sparse)
    return steps.as_json(steps.sparse_training(slimmed, PLAN.recipe(base)))


def sparse_weights(wildcards):
    """Weights of the sparse training behind a cell and their record."""
    folder = cell_of(wildcards).compression.sparse_folder
    return [
        base_file(f"{folder}/{name}")(wildcards)
        for name in ("weights.safetensors", "train.json")
    ]


def pruning_check_settings(wildcards):
    """The cut of a cell, before anything is trained."""
    return steps.as_json(steps.pruning_check(cell_of(wildcards)))


def recovery_start(wildcards):
    """Weights that the recovery starts from and their record; a thin network starts afresh, with the plan alone."""
    cell = cell_of(wildcards)
    if cell.compression.choose == "thin":
        return []
    names = ("weights.safetensors", "prune.json")
    return [f"{RUNS}/{cell.folder}/pruned/{name}" for name in names]


def recovery_teacher(wildcards):
    """The base as the teacher of a compressed cell; none where the study says `kd: none`."""
    kd = cell_of(wildcards).compression.kd
    return [] if kd == "none" else base_weights(wildcards)


def recovery_sources(wildcards, input):
    """What the recovery takes from the stages before it."""
    options = [
        option("start", input.start),
        f"--plan {input.plan}",
        option("teacher", input.teacher),
    ]
    return " ".join(filter(None, options))
