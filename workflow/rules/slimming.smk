# Network slimming: a method's cell, its sparse training, the cut, and the recovery, which is the compressed cell itself.
# A sparse training lies in the base's folder, for several cuts may start from it; the cut lies in the compressed cell's.
# The rules in measure.smk score and count both.


use rule train_network as train_sparse_network with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        start=base_weights,
    output:
        model=f"{CELL}/{{sparse}}/model.onnx",
        weights=f"{CELL}/{{sparse}}/weights.safetensors",
        record=f"{CELL}/{{sparse}}/train.json",
        history=f"{CELL}/{{sparse}}/history.csv",
    log:
        f"{CELL_LOGS}/train_{{sparse}}.log",
    wildcard_constraints:
        method=SLIMMING_BASES,
    params:
        method=method_folder,
        settings=sparse_settings,
        folder=subpath(output.model, parent=True),
        sources=start_option,


# A cut that the network does not allow stops a study here, not after its sparse training: the job needs no data, has the
# highest priority and takes all cores, so that no training runs beside it.
rule check_pruning:
    input:
        method=method_files,
        dataset="datasets/{dataset}.yaml",
    output:
        f"{CELL}/pruned/pruning.json",
    log:
        f"{CELL_LOGS}/check-pruning.log",
    wildcard_constraints:
        method=SLIMMED,
    priority: 100
    threads: all_cores
    params:
        method=method_folder,
        classes=class_count,
        settings=pruning_check_settings,
    shell:
        "defectbench check-pruning --method {params.method} --classes {params.classes} "
        "--settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule prune_channels:
    input:
        checked=f"{CELL}/pruned/pruning.json",
        sparse=sparse_weights,
        train=pack_of("train"),
        method=method_files,
    output:
        model=f"{CELL}/pruned/model.onnx",
        weights=f"{CELL}/pruned/weights.safetensors",
        plan=f"{CELL}/pruned/plan.json",
        record=f"{CELL}/pruned/prune.json",
    log:
        f"{CELL_LOGS}/prune.log",
    wildcard_constraints:
        method=SLIMMED,
    threads: training_cores
    resources:
        gpu_slots=gpu_slots,
        gpu=gpus,
        mem_mb=TRAINING_MB,
        runtime=TRAINING_MINUTES,
    params:
        method=method_folder,
        settings=settings_of(steps.channel_pruning),
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench prune --method {params.method} --weights {input.sparse[0]} --train {input.train} "
        "--settings {params.settings:q} --out {params.folder} 2>&1 | tee {log}"


# The cut before its residual units go: what the channels cost, and what the units. Nothing starts from it.
use rule prune_channels as prune_channels_alone with:
    output:
        model=f"{CELL}/pruned/channels/model.onnx",
        weights=f"{CELL}/pruned/channels/weights.safetensors",
        plan=f"{CELL}/pruned/channels/plan.json",
        record=f"{CELL}/pruned/channels/prune.json",
    log:
        f"{CELL_LOGS}/prune_channels_alone.log",
    params:
        method=method_folder,
        settings=settings_of(steps.channel_pruning, channels_alone=True),
        folder=subpath(output.model, parent=True),


use rule train_network as train_slimmed_network with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        start=recovery_start,
        plan=f"{CELL}/pruned/plan.json",
        teacher=recovery_teacher,
    wildcard_constraints:
        method=SLIMMED,
    params:
        method=method_folder,
        settings=settings_of(steps.recovery),
        folder=subpath(output.model, parent=True),
        sources=recovery_sources,
