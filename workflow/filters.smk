"""Input functions of collaborative filter pruning."""

import json
from shlex import quote

FILTERED, FILTER_BASES = names_compressed_by("cfp"), bases_compressed_by("cfp")


def filtering(wildcards):
    """How a cell's channels are chosen."""
    return cell_of(wildcards).compression


def balanced_recipe(wildcards):
    """The recipe of the class-balanced teacher: the cell's, with another order of images."""
    return recipe_options(wildcards, {"order": "class_balanced"})


def filter_scores(wildcards):
    """Record and arrays of the scores that a cell chooses by."""
    images = filtering(wildcards).images
    return [
        base_file(f"scores/{images}.{kind}")(wildcards)
        for kind in ("json", "safetensors")
    ]


def rates_options(wildcards):
    """Rates and the ratio that they are scaled to, as options of `check-rates` and `prune-classifier`."""
    one = filtering(wildcards)
    rates = one.rates if isinstance(one.rates, str) else json.dumps(one.rates)
    scaled = "" if one.ratio is None else f" --ratio {one.ratio}"
    return f"--rates {quote(rates)}{scaled}"


def rates_on_card(wildcards):
    """What rates of a name are: a card that gives others has its networks cut anew, any other change of it does not."""
    one = filtering(wildcards)
    named = CATALOGUE.rates[one.method] if isinstance(one.rates, str) else {}
    return named.get(one.rates, one.rates)


def filter_options(wildcards):
    """How channels are chosen, as further options of `prune-classifier`."""
    one = filtering(wildcards)
    names = ("choose", "scale", "most_clusters", "min_per_cluster", "inherit")
    return " ".join(
        f"--{name.replace('_', '-')} {getattr(one, name)}" for name in names
    )


def taught_by(wildcards, name):
    """Whether a cell's fine-tuning learns from teacher `r` or `c`."""
    one = filtering(wildcards)
    return one.choose != "thin" and name in one.taught_by


def teacher_r(wildcards):
    """Weights and record of the instance-balanced teacher, where it teaches."""
    return base_weights(wildcards) if taught_by(wildcards, "r") else []


def teacher_c(wildcards):
    """Weights and record of the class-balanced teacher, where it teaches."""
    if not taught_by(wildcards, "c"):
        return []
    names = ("weights.safetensors", "train.json")
    return [base_file(f"teacher_c/{name}")(wildcards) for name in names]


def fine_tuning_teachers(wildcards, input):
    """Who teaches, as options of `fine-tune`."""
    one = filtering(wildcards)
    files = [f"--teacher-r {input.r[0]}"] if input.r else []
    files += [f"--teacher-c {input.c[0]}"] if input.c else []
    return " ".join([f"--choose {one.choose} --teachers {one.teachers}", *files])


def fine_tuning_budget(wildcards):
    """Epochs and batch of the last training; a thin network has the base's batch and the epochs of all trainings."""
    one = filtering(wildcards)
    batch = None if one.choose == "thin" else one.fine_tuning.batch
    epochs = one.last_epochs(budget(wildcards, "epochs"))
    return budget_options(wildcards, epochs, batch)


def fine_tuning_recipe(wildcards):
    """The recipe of the last training; a thin network has its base's."""
    one = filtering(wildcards)
    changes = {} if one.choose == "thin" else one.recipe_of("fine_tuning")
    return recipe_options(wildcards, changes)
