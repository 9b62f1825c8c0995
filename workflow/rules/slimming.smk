# Network slimming: a method's cell, its sparse training, the cut, and the recovery, which is the compressed cell itself.
# A sparse training lies in the base's folder, for several cuts may start from it; the cut lies in the compressed cell's.
# The rules in measure.smk score and count both.


use rule train_detector as train_sparse with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        start=base_weights,
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{sparse}}/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{sparse}}/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{sparse}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{sparse}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train_{sparse}.log",
    wildcard_constraints:
        method=SLIMMING_BASES,
    params:
        method=method_folder,
        budget=sparse_budget,
        recipe=sparse_recipe,
        folder=subpath(output.model, parent=True),
        from_others=sparse_options,


# A cut that the network does not allow stops a study here, not after its sparse training: the job needs no data, has the
# highest priority and takes all cores, so that no training runs beside it.
rule check_pruning:
    input:
        method=method_files,
        dataset="datasets/{dataset}.yaml",
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/pruning.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/check-pruning.log",
    wildcard_constraints:
        method=SLIMMED,
    priority: 100
    threads: all_cores
    params:
        method=method_folder,
        classes=class_count,
        pruning=pruning_options,
        teaching=teaching_option,
        recipe=recipe_options,
    shell:
        "defectbench check-pruning --method {params.method} --classes {params.classes} {params.pruning} "
        "{params.teaching} {params.recipe} --out {output} 2>&1 | tee {log}"


rule prune_channels:
    input:
        checked=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/pruning.json",
        sparse=sparse_weights,
        train=pack_of("train"),
        method=method_files,
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/weights.safetensors",
        plan=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/plan.json",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/prune.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/prune.log",
    wildcard_constraints:
        method=SLIMMED,
    threads: training_cores
    params:
        method=method_folder,
        pruning=pruning_options,
        statistics=statistics_options,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench prune --method {params.method} --weights {input.sparse[0]} --train {input.train} "
        "--seed {wildcards.seed} {params.pruning} {params.statistics} --out {params.folder} 2>&1 | tee {log}"


# The cut before its residual units go: what the channels cost, and what the units. Nothing starts from it.
use rule prune_channels as prune_channels_alone with:
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/channels/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/channels/weights.safetensors",
        plan=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/channels/plan.json",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/channels/prune.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/prune_channels_alone.log",
    params:
        method=method_folder,
        pruning=channels_alone_options,
        statistics=statistics_options,
        folder=subpath(output.model, parent=True),


use rule train_detector as train_slimmed with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        start=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/weights.safetensors",
        start_record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/prune.json",
        plan=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/plan.json",
        teacher=recovery_teacher,
    wildcard_constraints:
        method=SLIMMED,
    params:
        method=method_folder,
        budget=recovery_budget,
        recipe=recovery_recipe,
        folder=subpath(output.model, parent=True),
        from_others=recovery_options,


rule time_beside_base:
    input:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        point=operating_point,
        base=base_file("model.onnx"),
        base_point=base_operating_point,
        pack=pack_of("test"),
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/beside_base.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/time_beside.log",
    wildcard_constraints:
        method=COMPRESSED,
    threads: all_cores
    params:
        protocol=latency_options,
        points=operating_points_option,
    shell:
        "defectbench time-beside --model {input.model} --base {input.base} --pack {input.pack} "
        "{params.points} {params.protocol} --out {output} 2>&1 | tee {log}"
