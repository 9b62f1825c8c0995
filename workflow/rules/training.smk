# Training with the engine. It makes no cell by itself: a method takes it over, see models/<name>/method.smk. Whatever trains goes
# first (`priority`): the many short jobs then fill the cores at the end, where one long job would run alone.


rule train_network:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
    output:
        model=f"{CELL}/model.onnx",
        weights=f"{CELL}/weights.safetensors",
        record=f"{CELL}/train.json",
        history=f"{CELL}/history.csv",
    log:
        f"{CELL_LOGS}/train.log",
    wildcard_constraints:
        method=NOBODY,
    priority: 10
    threads: training_cores
    resources:
        gpu_slots=gpu_slots,
        gpu=gpus,
        mem_mb=TRAINING_MB,
        runtime=TRAINING_MINUTES,
    params:
        method=method_folder,
        settings=settings_of(steps.training),
        folder=subpath(output.model, parent=True),
        sources="",
    shell:
        "defectbench train --method {params.method} --train {input.train} --val {input.val} --settings {params.settings:q} "
        "{params.sources} --out {params.folder} 2>&1 | tee {log}"


# The same for rows with another start or number of epochs than their method's own. Weights count by what the card says of them and
# not by their time: another study may get them again, from elsewhere.
use rule train_network as train_variant with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        start=start_files,
        conversion=conversion_of_start,
    wildcard_constraints:
        method=VARIANTS,
    params:
        method=method_folder,
        settings=settings_of(steps.training),
        folder=subpath(output.model, parent=True),
        sources=start_option,
        published=published_of_cell,


# Published weights: what a card names, as safetensors that trainings start from. Studies share them.
rule fetch_weights:
    input:
        method=method_files,
        conversion=CONVERSION,
    output:
        weights=f"{WEIGHTS}/weights.safetensors",
        record=f"{WEIGHTS}/published.json",
    log:
        f"{LOGS}/weights/{{method}}-{{start}}.log",
    wildcard_constraints:
        method=pattern(set(PLAN.catalogue.names) - set(BY_PROGRAM)),
    params:
        method=method_folder,
        folder=subpath(output.weights, parent=True),
        published=published_of,
        mirror=weights_mirror_option,
    shell:
        "defectbench fetch-weights --method {params.method} --name {wildcards.start} --out {params.folder} {params.mirror} "
        "2>&1 | tee {log}"


# Distillation: a cell's teacher, then the cell itself as its student. Both have the cell's budget, each a seed of its own.
use rule train_network as train_teacher with:
    output:
        model=f"{CELL}/teacher/model.onnx",
        weights=f"{CELL}/teacher/weights.safetensors",
        record=f"{CELL}/teacher/train.json",
        history=f"{CELL}/teacher/history.csv",
    log:
        f"{CELL_LOGS}/train_teacher.log",
    params:
        method=method_folder,
        settings=settings_of(steps.training, role="teacher"),
        folder=subpath(output.model, parent=True),
        sources="",


use rule train_network as train_student with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        teacher=teacher_files,
    params:
        method=method_folder,
        settings=settings_of(steps.training),
        folder=subpath(output.model, parent=True),
        sources=teacher_option,
