"""Input functions of the data."""


def user_mirror(wildcards):
    """The card of a dataset, the study's mirror of it, and the folder that its data lie in."""
    name = wildcards.dataset
    return PLAN.datasets[name], STUDY.mirrors.get(name), DATA.format(dataset=name)


def state_of_mirror(wildcards):
    """What a local mirror holds: the data are made again when that changes, not when it is touched."""
    return mirror_state(*user_mirror(wildcards))


def mirror_of(wildcards):
    """Files of a local mirror; a path with braces would be read as a pattern and is left to their state."""
    card, mirror, folder = user_mirror(wildcards)
    paths = [path for path in map(str, mirror_files(card, mirror)) if "{" not in path]
    unchanged = is_unchanged(card, mirror, folder)
    return [ancient(path) for path in paths] if unchanged else paths


def mirror_option(wildcards):
    """The study's mirror of a dataset as an option of `acquire`."""
    return option("mirror", [*filter(None, [STUDY.mirrors.get(wildcards.dataset)])])


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
