"""Input functions of collaborative filter pruning."""

FILTERED = PLAN.names_compressed("cfp")
FILTER_BASES = PLAN.bases_compressed("cfp")


def score_settings(wildcards):
    """The settings of the scores of a base's channels."""
    scores = steps.channel_scores(cell_of(wildcards), int(wildcards.images))
    return steps.as_json(scores)


def filter_scores(wildcards):
    """Record and arrays of the scores that a cell chooses by."""
    images = cell_of(wildcards).compression.images
    return [
        base_file(f"scores/{images}.{kind}")(wildcards)
        for kind in ("json", "safetensors")
    ]


def rates_check_settings(wildcards):
    """The rates of a cell, before anything is trained."""
    return steps.as_json(steps.rates_check(cell_of(wildcards)))


def filter_settings(wildcards):
    """The settings of the cut of a classifier."""
    return steps.as_json(steps.filter_pruning(cell_of(wildcards)))


def rates_on_card(wildcards):
    """What rates of a name are: a card that gives others has its networks cut anew, any other change of it does not."""
    cut = cell_of(wildcards).compression
    named = PLAN.catalogue.rates[cut.method] if isinstance(cut.rates, str) else {}
    return named.get(cut.rates, cut.rates)


def teacher_of(name):
    """Input function: weights and record of teacher `r` or `c` of a cell's fine-tuning, where it teaches."""
    folder = {"r": "", "c": "teacher_c/"}[name]

    def files(wildcards):
        cut = cell_of(wildcards).compression
        if cut.choose == "thin" or name not in cut.taught_by:
            return []
        return [
            base_file(f"{folder}{file}")(wildcards)
            for file in ("weights.safetensors", "train.json")
        ]

    return files


def fine_tuning_teachers(wildcards, input):
    """Who teaches, as options of `fine-tune`."""
    options = [option("teacher-r", input.r), option("teacher-c", input.c)]
    return " ".join(filter(None, options))
