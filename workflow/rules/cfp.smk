# Collaborative filter pruning: a classifier's cell is teacher R, a class-balanced teacher C and the scores of R's channels lie in
# its folder and serve every choice; the cut network lies in the compressed cell's, whose own training is the fine-tuning.


use rule train_network as train_balanced_teacher with:
    output:
        model=f"{CELL}/teacher_c/model.onnx",
        weights=f"{CELL}/teacher_c/weights.safetensors",
        record=f"{CELL}/teacher_c/train.json",
        history=f"{CELL}/teacher_c/history.csv",
    log:
        f"{CELL_LOGS}/train_balanced_teacher.log",
    wildcard_constraints:
        method=FILTER_BASES,
    params:
        method=method_folder,
        settings=settings_of(steps.balanced_teacher),
        folder=subpath(output.model, parent=True),
        sources="",


rule score_channels:
    input:
        weights=f"{CELL}/weights.safetensors",
        record=f"{CELL}/train.json",
        train=pack_of("train"),
        method=method_files,
    output:
        record=f"{CELL}/scores/{{images}}.json",
        arrays=f"{CELL}/scores/{{images}}.safetensors",
    log:
        f"{CELL_LOGS}/score-{{images}}.log",
    wildcard_constraints:
        method=FILTER_BASES,
        images=r"\d+",
    threads: training_cores
    resources:
        gpu_slots=gpu_slots,
        gpu=gpus,
        mem_mb=TRAINING_MB,
        runtime=TRAINING_MINUTES,
    params:
        method=method_folder,
        settings=score_settings,
    shell:
        "defectbench score-channels --method {params.method} --weights {input.weights} --train {input.train} "
        "--settings {params.settings:q} --out {output.record} 2>&1 | tee {log}"


# Rates that do not fit the network stop a study here, not after its teachers: the job needs no data, has the highest priority and
# takes all cores, so that no training runs beside it.
rule check_rates:
    input:
        method=method_files,
        dataset="datasets/{dataset}.yaml",
    output:
        f"{CELL}/pruned/rates.json",
    log:
        f"{CELL_LOGS}/check-rates.log",
    wildcard_constraints:
        method=FILTERED,
    priority: 100
    threads: all_cores
    params:
        method=method_folder,
        classes=class_count,
        settings=rates_check_settings,
        on_card=rates_on_card,
    shell:
        "defectbench check-rates --method {params.method} --classes {params.classes} "
        "--settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule prune_classifier:
    input:
        checked=f"{CELL}/pruned/rates.json",
        base=base_weights,
        scores=filter_scores,
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
        method=FILTERED,
    threads: claim(1)
    params:
        method=method_folder,
        settings=filter_settings,
        on_card=rates_on_card,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench prune-classifier --method {params.method} --weights {input.base[0]} --scores {input.scores[0]} "
        "--train {input.train} --settings {params.settings:q} --out {params.folder} 2>&1 | tee {log}"


rule fine_tune_classifier:
    input:
        pruned=f"{CELL}/pruned/weights.safetensors",
        record=f"{CELL}/pruned/prune.json",
        plan=f"{CELL}/pruned/plan.json",
        r=teacher_of("r"),
        c=teacher_of("c"),
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
    output:
        model=f"{CELL}/model.onnx",
        weights=f"{CELL}/weights.safetensors",
        record=f"{CELL}/train.json",
        history=f"{CELL}/history.csv",
    log:
        f"{CELL_LOGS}/fine-tune.log",
    wildcard_constraints:
        method=FILTERED,
    priority: 10
    threads: training_cores
    resources:
        gpu_slots=gpu_slots,
        gpu=gpus,
        mem_mb=TRAINING_MB,
        runtime=TRAINING_MINUTES,
    params:
        method=method_folder,
        settings=settings_of(steps.fine_tuning),
        teachers=fine_tuning_teachers,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench fine-tune --method {params.method} --pruned {input.pruned} --train {input.train} --val {input.val} "
        "--settings {params.settings:q} {params.teachers} --out {params.folder} 2>&1 | tee {log}"
