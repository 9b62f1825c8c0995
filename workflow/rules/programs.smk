# Foreign programs, each in a process of its own. As with train_network, a method takes a rule over by its name.


rule train_by_ultralytics:
    input:
        train=pack_of("train"),
        val=pack_of("val"),
        certificate=f"{PARTS}/certificate.json",
        lists=collect(
            f"{PARTS}/{{part}}.txt", part=["train", "val", "test"], allow_missing=True
        ),
        program="workflow/programs/train_ultralytics.py",
        around=collect(
            "workflow/programs/{file}.py", file=["cell", "process", "yolo_program"]
        ),
        recipe=recipe_file,
        start=start_files,
    output:
        model=f"{CELL}/model.onnx",
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
        network="",
        start=start_option,
        published=published_of_cell,
    shell:
        "python {input.program} --method {params.method} --network {params.network} --train {input.train} --val {input.val} "
        "--settings {params.settings:q} {params.start} --out {params.folder} 2>&1 | tee {log}"


# Weights in a form that only a method's own program opens: verified and kept, not converted.
use rule fetch_weights as fetch_program_weights with:
    input:
        # only what `published` takes from it is a reason to fetch again
        card=ancient("models/{method}/card.yaml"),
    output:
        weights=f"{WEIGHTS}/weights.pt",
        record=f"{WEIGHTS}/published.json",
    wildcard_constraints:
        method=pattern(BY_PROGRAM),


rule build_mmdetection_environment:
    input:
        lock="workflow/envs/mmdet.lock",
        names="workflow/envs/mmdet.txt",
        # they check what was installed; a change of theirs is no reason to install again
        program=ancient("workflow/programs/mmdetection/mmdet_program.py"),
        operators=ancient("workflow/programs/mmdetection/operators.py"),
        compat=ancient("workflow/programs/compat/sitecustomize.py"),
    output:
        f"{RESULTS}/envs/mmdet/installed.txt",
    log:
        f"{LOGS}/envs/mmdet.log",
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
        certificate=f"{PARTS}/certificate.json",
        lists=collect(
            f"{PARTS}/{{part}}.txt", part=["train", "val", "test"], allow_missing=True
        ),
        environment=f"{RESULTS}/envs/mmdet/installed.txt",
        program="workflow/programs/train_mmdetection.py",
        around=collect("workflow/programs/{file}.py", file=["cell", "process"]),
        inside=collect(
            "workflow/programs/mmdetection/{file}",
            file=[
                "mmdet_program.py",
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
        model=f"{CELL}/model.onnx",
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
        settings=settings_of(steps.training),
        folder=subpath(output.model, parent=True),
    shell:
        "python {input.program} --method models/{wildcards.method} --network {input.network} "
        "--environment {input.environment} --train {input.train} --val {input.val} "
        "--settings {params.settings:q} --out {params.folder} 2>&1 | tee {log}"
