# Foreign programs, each in a process of its own. As with train_detector, a method takes a rule over by its name.


rule train_by_ultralytics:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        certificate="results/data/{dataset}/{protocol}/certificate.json",
        lists=part_lists,
        program="workflow/programs/train_ultralytics.py",
        around=collect(
            "workflow/programs/{file}.py", file=["cell", "process", "yolo_program"]
        ),
        recipe="models/{method}/recipe.yaml",
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train.log",
    wildcard_constraints:
        method="no_method_of_its_own",
    priority: 10
    threads: training_cores
    params:
        budget=budget_options,
        recipe=recipe_options,
        size=training_size,
        folder=subpath(output.model, parent=True),
        network="",
    shell:
        "python {input.program} --method models/{wildcards.method} --network {params.network} "
        "--train {input.train} --val {input.val} --dataset-dir results/data/{wildcards.dataset} "
        "--protocol {wildcards.protocol} --seed {wildcards.seed} --size {params.size} {params.budget} {params.recipe} --out {params.folder} 2>&1 | tee {log}"


rule build_mmdetection_environment:
    input:
        lock="workflow/envs/mmdet.lock",
        names="workflow/envs/mmdet.txt",
        # they check what was installed; a change of theirs is no reason to install again
        program=ancient("workflow/programs/mmdetection/run.py"),
        operators=ancient("workflow/programs/mmdetection/operators.py"),
        compat=ancient("workflow/programs/compat/sitecustomize.py"),
    output:
        "results/envs/mmdet/installed.txt",
    log:
        "results/logs/envs/mmdet.log",
    params:
        folder=subpath(output[0], parent=True),
        compat=subpath(input.compat, parent=True),
    shell:
        "(python -m venv --clear {params.folder} && "
        "{params.folder}/bin/python -m pip install --quiet --constraint {input.lock} --requirement {input.names} && "
        "{params.folder}/bin/python -m pip install --quiet --constraint {input.lock} --no-deps mmdet mmengine mmcv-lite && "
        "PYTHONPATH={params.compat} {params.folder}/bin/python {input.program} check && "
        "{params.folder}/bin/python -m pip freeze > {output}) 2>&1 | tee {log}"


rule train_by_mmdetection:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        certificate="results/data/{dataset}/{protocol}/certificate.json",
        lists=part_lists,
        environment="results/envs/mmdet/installed.txt",
        program="workflow/programs/train_mmdetection.py",
        around=collect("workflow/programs/{file}.py", file=["cell", "process"]),
        inside=collect(
            "workflow/programs/mmdetection/{file}",
            file=[
                "run.py",
                "learning.py",
                "history.py",
                "artifact.py",
                "operators.py",
                "precision.py",
                "resnet50_fpn.yaml",
            ],
        ),
        network="models/{method}/network.yaml",
        recipe="models/{method}/recipe.yaml",
    output:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/train.log",
    wildcard_constraints:
        method="no_method_of_its_own",
    priority: 10
    threads: training_cores
    params:
        budget=budget_options,
        recipe=recipe_options,
        size=training_size,
        folder=subpath(output.model, parent=True),
    shell:
        "python {input.program} --method models/{wildcards.method} --network {input.network} "
        "--environment {input.environment} --train {input.train} --val {input.val} "
        "--dataset-dir results/data/{wildcards.dataset} --protocol {wildcards.protocol} --seed {wildcards.seed} "
        "--size {params.size} {params.budget} {params.recipe} --out {params.folder} 2>&1 | tee {log}"
