"""Input functions of boards: what is packed for them, and what came back."""

from pathlib import Path

from defectbench.base.boards import BOARD_ENGINES, DEVICES, board_form, model_of

BOARDS = f"{RESULTS}/{STUDY.study}/{DEVICES}"
BUNDLE = f"{RESULTS}/{STUDY.study}/edge/bundle"


def board_records():
    """The record of each board that was run, and of the one that is to be."""
    there = [path.as_posix() for path in sorted(Path(BOARDS).glob("*/board.json"))]
    wanted = [f"{BOARDS}/{BOARD.name}/board.json"] if BOARD else []
    return list(dict.fromkeys([*there, *wanted]))


def board_forms():
    """Engines and precisions that a board is to run."""
    of_study = [form.name for form in STUDY.forms if form.engine in BOARD_ENGINES]
    names = BOARD.forms or of_study
    return [board_form(name) for name in names]


def packed_models():
    """The model files that are packed."""
    return [
        str(model_of(Path(RUNS) / cell.folder, form))
        for cell in PLAN.raced
        for form in board_forms()
    ]
