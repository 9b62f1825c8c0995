# Collaborative filter pruning: a classifier's cell is teacher R, a class-balanced teacher C and the scores of R's channels lie in
# its folder and serve every choice; the cut network lies in the compressed cell's, whose own training is the fine-tuning.


use rule train_detector as train_balanced_teacher with:
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher_c/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher_c/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher_c/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher_c/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train_balanced_teacher.log",
    wildcard_constraints:
        method=FILTER_BASES,
    params:
        method=method_folder,
        budget=budget_options,
        recipe=balanced_recipe,
        folder=subpath(output.model, parent=True),
        from_others="--as teacher",


rule score_channels:
    input:
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        train=pack_of("train"),
        method=method_files,
    output:
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/scores/{{images}}.json",
        arrays=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/scores/{{images}}.safetensors",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/score-{images}.log",
    wildcard_constraints:
        method=FILTER_BASES,
        images=r"\d+",
    threads: training_cores
    params:
        method=method_folder,
        work=work_options,
    shell:
        "defectbench score-channels --method {params.method} --weights {input.weights} --train {input.train} "
        "--images {wildcards.images} --seed {wildcards.seed} {params.work} --out {output.record} 2>&1 | tee {log}"


# Rates that do not fit the network stop a study here, not after its teachers: the job needs no data, has the highest priority and
# takes all cores, so that no training runs beside it.
rule check_rates:
    input:
        method=method_files,
        dataset="datasets/{dataset}.yaml",
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/rates.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/check-rates.log",
    wildcard_constraints:
        method=FILTERED,
    priority: 100
    threads: all_cores
    params:
        method=method_folder,
        classes=class_count,
        rates=rates_options,
        on_card=rates_on_card,
        recipe=recipe_options,
    shell:
        "defectbench check-rates --method {params.method} --classes {params.classes} {params.rates} "
        "{params.recipe} --out {output} 2>&1 | tee {log}"


rule prune_classifier:
    input:
        checked=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/rates.json",
        base=base_weights,
        scores=filter_scores,
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
        method=FILTERED,
    threads: claim(1)
    params:
        method=method_folder,
        rates=rates_options,
        on_card=rates_on_card,
        choice=filter_options,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench prune-classifier --method {params.method} --weights {input.base[0]} --scores {input.scores[0]} "
        "--train {input.train} --seed {wildcards.seed} {params.rates} {params.choice} --out {params.folder} 2>&1 | tee {log}"


rule fine_tune_classifier:
    input:
        pruned=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/prune.json",
        plan=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/pruned/plan.json",
        r=teacher_r,
        c=teacher_c,
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/fine-tune.log",
    wildcard_constraints:
        method=FILTERED,
    threads: training_cores
    params:
        method=method_folder,
        budget=fine_tuning_budget,
        recipe=fine_tuning_recipe,
        teachers=fine_tuning_teachers,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench fine-tune --method {params.method} --pruned {input.pruned} --train {input.train} --val {input.val} "
        "--seed {wildcards.seed} {params.budget} {params.recipe} {params.teachers} --out {params.folder} 2>&1 | tee {log}"
