"""Assert what a study that was run has come to, the default one by default: its cells first, then its tables.

Usage: check_report.py results/demo/report [config/demo-heavy.yaml]
"""

import sys
from pathlib import Path

from defectbench.base.cards import dataset_tasks
from defectbench.base.catalogue import load_catalogue
from defectbench.base.compressions import JOINT
from defectbench.base.tasks import CLASSIFICATION, DETECTION, TASKS
from gate.cells import cells_of, check_export, check_learnt, read_cell, runs_of
from gate.floors import read_floors, unmeasured
from gate.latex import check_documents
from gate.outputs import check_outputs
from gate.program_outputs import check_program_outputs, is_trained_by_yolo
from gate.tables import check_classifiers, check_compression, check_detectors, number, rows

PRIOR = {
    DETECTION.name: ("comparison.csv", "map50_95"),
    CLASSIFICATION.name: ("classification.csv", "accuracy"),
}


def twice_prior(report, task):
    """Twice what the class prior scores on the test part, where classes are as frequent as anywhere."""
    file, field = PRIOR[task]
    return 2 * number(rows(report / file)["control_class_prior"], field)


def main(report, study="config/demo.yaml"):
    """Check the cells and every file of the report."""
    cells, floors, catalogue = cells_of(study), read_floors(), load_catalogue()
    tasks = dataset_tasks({cell.dataset for cell in cells})
    priors = {task: twice_prior(report, task) for task in {*tasks.values()}}
    for cell in cells:
        task, family = tasks[cell.dataset], catalogue.cards[cell.method.partition(JOINT)[0]].family
        trained = read_cell(runs_of(report) / cell.folder, cell.method, task, family)
        check_learnt(
            trained,
            floors.get(cell.method, unmeasured(cell.method, task)),
            priors[task],
        )
        check_export(trained)
        if family == "engine":
            check_outputs(runs_of(report) / cell.folder, cell.method)
        elif is_trained_by_yolo(cell.method):
            check_program_outputs(runs_of(report) / cell.folder, cell.method)
    detectors = sorted({c.method for c in cells if TASKS[tasks[c.dataset]].finds_boxes})
    classifiers = sorted({c.method for c in cells if not TASKS[tasks[c.dataset]].finds_boxes})
    count = check_detectors(report, detectors, floors)
    check_classifiers(report, classifiers)
    check_compression(report, [name for name in [*detectors, *classifiers] if JOINT in name])
    print(check_documents(report))
    print(
        f"{len(cells)} cells have learnt, and their files are what was trained; {count} rows hold"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
