"""Input functions of the forms of a model file: which engine runs it, and with which arithmetic."""

from defectbench.base.boards import TENSORRT, board_form
from defectbench.base.engines import form_named

FORMS = pattern(form.name for form in PLAN.forms)
# a board may be named forms that the study lacks; TensorRT converts there
OF_BOARD = [board_form(name) for name in (BOARD.forms if BOARD else ())]
OF_BOARD = [form for form in OF_BOARD if form.engine != TENSORRT]
CONVERTED_FORMS = pattern(
    form.maker.name for form in (*PLAN.forms, *OF_BOARD) if form.maker
)

# Told before hours of training, and no error: jobs may run on another machine than this one.
if workflow.is_main_process and len(STUDY.engines) > 1:
    from defectbench.deploy.engines import engine_state

    for state in map(engine_state, STUDY.engines):
        if not state.runs_here:
            logger.warning(f"engine {state.name}: {state.told}")


def files_of_form(wildcards):
    """What a form runs, and the record of how it was made."""
    form = form_named(wildcards.form)
    cell = CELL.format(**dict(wildcards.items()))
    return [f"{cell}/{name}" for name in (form.model, form.conversion) if name]


def source_of_form(wildcards):
    """The model file that an engine's own files are made of."""
    return f"{CELL.format(**dict(wildcards.items()))}/{form_named(wildcards.form).file}"


def network_of_form(wildcards):
    """The trained network that the model file was exported from, for an engine that runs that."""
    if not (
        form_named(wildcards.form).is_network
        and PLAN.is_trained_by_engine(cell_of(wildcards))
    ):
        return []
    cell = CELL.format(**dict(wildcards.items()))
    return [
        f"{cell}/weights.safetensors",
        f"{cell}/train.json",
        *method_files(wildcards),
    ]


def raced_forms():
    """What the race reads of every form."""
    return [
        f"{RUNS}/{cell.folder}/{form.folder}/predictions.record.json"
        for cell in PLAN.raced
        for form in PLAN.forms
    ]
