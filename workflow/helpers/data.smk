"""Input functions of the data."""


def mirror_of(wildcards):
    """What a local mirror holds of a dataset; a path with braces would be read as a pattern and is not watched."""
    card = PLAN.datasets[wildcards.dataset]
    files = map(str, mirror_files(card, STUDY.mirrors.get(card.name)))
    return [path for path in files if "{" not in path]


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
