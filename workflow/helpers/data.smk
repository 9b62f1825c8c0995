"""Input functions of the data."""

NOTHING_TO_KEEP = object()


@cache
def look_at_mirror(dataset):
    """State of a dataset's local mirror or package, looked at once, and the file of what was seen of it.

    That file stands for the mirror's own, which may be many; its time counts only where data were made of something else.
    """
    card, mirror = PLAN.datasets[dataset], STUDY.mirrors.get(dataset)
    folder = DATA.format(dataset=dataset)
    state, unchanged = mirror_state(card, mirror, folder)
    if workflow.is_main_process and state and not unchanged:
        if note := note_on_shared_data(card, folder, STUDY.study):
            logger.warning(note)
    seen = f"{folder}/{MIRROR_HASHES}"
    if not state or not os.path.exists(seen):
        return state, []
    return state, ancient(seen) if unchanged else seen


# Here and not in an input function, whose error Snakemake passes over where the outputs are there.
if workflow.is_main_process:
    for dataset in PLAN.datasets:
        look_at_mirror(dataset)


def state_of_mirror(wildcards):
    """What a local mirror or package holds: the data are made again when that changes, not when it is touched.

    Without one it is a value of a kind that Snakemake does not keep, so that nothing of it can change.
    """
    state, _ = look_at_mirror(wildcards.dataset)
    return state or NOTHING_TO_KEEP


def seen_of_mirror(wildcards):
    """What was seen of the files of a local mirror, which are an input."""
    return look_at_mirror(wildcards.dataset)[1]


def manifest_of(wildcards):
    """The list of hashes that a dataset's files are held against, where its card names one."""
    card = PLAN.datasets[wildcards.dataset]
    return str(card.folder / card.source.manifest) if card.source.manifest else []


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


def official_lists(wildcards):
    """The raw data, which hold the publisher's lists, where a protocol takes them."""
    official = base_protocol(wildcards.protocol) == "official"
    return f"{DATA}/raw".format(dataset=wildcards.dataset) if official else []


def official_option(wildcards):
    """The card that names the publisher's lists as an option of `split`, where a protocol takes them."""
    official = base_protocol(wildcards.protocol) == "official"
    return f"--card datasets/{wildcards.dataset}.yaml" if official else ""


def published_option(wildcards, input):
    """Published lists as an option of `split`."""
    return option("published", input.published)


def train_list_option(wildcards, input):
    """A list that thins the training part as an option of `split`."""
    return option("train-list", input.train_list)


def tiling_of(wildcards):
    """How images are cut into the tiles of a pack, as one line of JSON."""
    return steps.as_json(PLAN.tiling(wildcards.tiles))
