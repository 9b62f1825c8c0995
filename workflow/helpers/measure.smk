"""Input functions of what is measured."""

MODEL_FILES = rf"({pattern(PLAN.catalogue.exporting)})(\+[a-z0-9_.]+)?"


def truth_options(wildcards, input):
    """What predictions are held against."""
    return f"--annotations {input.annotations} --images {input.images} --groups {input.groups}"


def raced(name):
    """A file of every cell whose model is timed."""
    return [f"{RUNS}/{cell.folder}/{name}" for cell in PLAN.raced]


def raced_packs():
    """The images that models are timed on."""
    packs = {}
    for cell in PLAN.raced:
        parts = PARTS.format(dataset=cell.dataset, protocol=cell.protocol)
        packs[f"{parts}/{steps.pack_file(cell, PLAN.recipe(cell), 'test')}"] = None
    return list(packs)
