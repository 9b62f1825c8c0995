# Training with the engine. It makes no cell by itself: a method takes it over, see models/<name>/method.smk.


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
    threads: training_cores
    params:
        budget=budget_options,
        recipe=recipe_options,
        folder=subpath(output.model, parent=True),
    shell:
        "defectbench train --method models/{wildcards.method} --train {input.train} --val {input.val} "
        "--seed {wildcards.seed} {params.budget} {params.recipe} --out {params.folder} 2>&1 | tee {log}"
