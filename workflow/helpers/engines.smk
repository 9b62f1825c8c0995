"""Input functions of the forms of a model file: which engine runs it, and with which arithmetic."""

from defectbench.base.engines import CONVERTED, form_named

FORMS = pattern(form.name for form in PLAN.forms)
CONVERTED_FORMS = pattern(form.name for form in PLAN.forms if form.engine in CONVERTED)


def files_of_form(wildcards):
    """What a form runs, and the record of how it was made."""
    form = form_named(wildcards.form)
    cell = CELL.format(**dict(wildcards.items()))
    return [f"{cell}/{name}" for name in (form.model, form.conversion) if name]


def raced_forms():
    """What the race reads of every form."""
    return [
        f"{RUNS}/{cell.folder}/{form.folder}/predictions.record.json"
        for cell in PLAN.raced
        for form in PLAN.forms
    ]
