"""Input functions of the data."""

NOTHING_TO_KEEP = object()


@cache
def look_at_mirror(dataset):
    """State and files of a dataset's local mirror, looked at once; with times that count, or not where it is unchanged.

    A path with braces would be read as a pattern and is left to the state.
    """
    card, mirror = PLAN.datasets[dataset], STUDY.mirrors.get(dataset)
    folder = DATA.format(dataset=dataset)
    state, unchanged = mirror_state(card, mirror, folder)
    paths = [path for path in map(str, mirror_files(card, mirror)) if "{" not in path]
    return state, [ancient(path) for path in paths] if unchanged else paths


# Here and not in an input function, whose error Snakemake passes over where the outputs are there.
if workflow.is_main_process:
    for dataset in STUDY.mirrors:
        look_at_mirror(dataset)


def state_of_mirror(wildcards):
    """What a local mirror holds: the data are made again when that changes, not when it is touched.

    Without one it is a value of a kind that Snakemake does not keep, so that nothing of it can change.
    """
    state, _ = look_at_mirror(wildcards.dataset)
    return state or NOTHING_TO_KEEP


def files_of_mirror(wildcards):
    """Files of a local mirror, which are an input."""
    return look_at_mirror(wildcards.dataset)[1]


def mirror_option(wildcards):
    """The study's mirror of a dataset as an option of `acquire`."""
    mirror = STUDY.mirrors.get(wildcards.dataset)
    # with a sign of equality, since a name may begin with a dash
    return f"--mirror={quote(mirror)}" if mirror else ""


def paper_annotations(wildcards):
    """What only the protocol `paper` needs before its split."""
    return f"{PAPER}/annotations.json" if wildcards.protocol == "paper" else []


def images_of(wildcards):
    """Images of a protocol: `paper` has its own."""
    return f"{PAPER if wildcards.protocol == 'paper' else DATA}/images"


def published_lists(wildcards):
    """The lists that seed 0 of a protocol stands for, where the dataset's card names some."""
    return PLAN.published_lists(wildcards.dataset, wildcards.protocol)


def train_lists(wildcards):
    """The list that thins the training part of a protocol, where its name holds one."""
    return PLAN.train_lists(wildcards.dataset, wildcards.protocol)


def published_option(wildcards, input):
    """Published lists as an option of `split`."""
    return option("published", input.published)


def train_list_option(wildcards, input):
    """A list that thins the training part as an option of `split`."""
    return option("train-list", input.train_list)
