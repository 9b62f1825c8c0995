# Foreign programs, each in a process of its own. As with train_detector, a method takes a rule over by its name.


rule train_by_ultralytics:
    input:
        annotations=annotations_of,
        certificate="results/data/{dataset}/{protocol}/certificate.json",
        train="results/data/{dataset}/{protocol}/train.txt",
        val="results/data/{dataset}/{protocol}/val.txt",
        program="workflow/programs/train_ultralytics.py",
        runner="workflow/programs/yolo_program.py",
        recipe="models/{method}/recipe.yaml",
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
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
        size=training_size,
        folder=subpath(output.model, parent=True),
        network="",
    shell:
        "python {input.program} --method models/{wildcards.method} --network {params.network} "
        "--dataset-dir results/data/{wildcards.dataset} --protocol {wildcards.protocol} --seed {wildcards.seed} "
        "--size {params.size} {params.budget} {params.recipe} --out {params.folder} 2>&1 | tee {log}"
