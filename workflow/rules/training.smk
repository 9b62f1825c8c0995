# Training with the engine. It makes no cell by itself: a method takes it over, see models/<name>/method.smk. Whatever trains goes
# first (`priority`): the many short jobs then fill the cores at the end, where one long job would run alone.


rule train_detector:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train.log",
    wildcard_constraints:
        method="no_method_of_its_own",
    priority: 10
    threads: training_cores
    params:
        method=method_folder,
        budget=budget_options,
        recipe=recipe_options,
        folder=subpath(output.model, parent=True),
        from_others="",
    shell:
        "defectbench train --method {params.method} --train {input.train} --val {input.val} "
        "--seed {wildcards.seed} {params.budget} {params.recipe} {params.from_others} --out {params.folder} 2>&1 | tee {log}"


# Distillation: a cell's teacher, then the cell itself as its student. Both have the cell's budget, each a seed of its own.
use rule train_detector as train_teacher with:
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher/model.onnx",
        weights=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher/weights.safetensors",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/teacher/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train_teacher.log",
    params:
        method=method_folder,
        budget=budget_options,
        recipe=recipe_options,
        folder=subpath(output.model, parent=True),
        from_others="--as teacher",


use rule train_detector as train_student with:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        method=method_files,
        teacher=teacher_files,
    params:
        method=method_folder,
        budget=budget_options,
        recipe=recipe_options,
        folder=subpath(output.model, parent=True),
        from_others=teacher_option,
