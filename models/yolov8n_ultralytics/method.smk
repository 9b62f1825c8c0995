# The ultralytics program in a process of its own; its export is adapted to the artifact signature.
rule train_yolov8n_ultralytics:
    input:
        annotations=annotations_of,
        certificate="results/data/{dataset}/{protocol}/certificate.json",
        train="results/data/{dataset}/{protocol}/train.txt",
        val="results/data/{dataset}/{protocol}/val.txt",
        program="models/yolov8n_ultralytics/train.py",
        runner="models/yolov8n_ultralytics/yolo_program.py",
        recipe="models/yolov8n_ultralytics/recipe.yaml",
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train.log",
    wildcard_constraints:
        method="yolov8n_ultralytics",
    threads: training_cores
    params:
        budget=budget_options,
        recipe=recipe_options,
        size=training_size,
        folder=subpath(output.model, parent=True),
    shell:
        "python {input.program} --dataset-dir results/data/{wildcards.dataset} --protocol {wildcards.protocol} "
        "--seed {wildcards.seed} --size {params.size} {params.budget} {params.recipe} --out {params.folder} 2>&1 | tee {log}"
