# What is measured of a cell, one job a cell. Predictions are made from model.onnx: the timed file is the scored file.


rule measure_cell:
    input:
        model=f"{CELL}/model.onnx",
        val=pack_of("val"),
        test=pack_of("test"),
        annotations=annotations_of,
        images=f"{PARTS}/test.txt",
        groups=f"{DATA}/groups.csv",
    output:
        f"{CELL}/operating_point.json",
        f"{CELL}/predictions.json",
        f"{CELL}/predictions.record.json",
        f"{CELL}/accuracy.json",
        f"{CELL}/complexity.json",
    log:
        f"{CELL_LOGS}/measure.log",
    wildcard_constraints:
        method=MODEL_FILES,
    threads: claim(1)
    params:
        truth=truth_options,
    shell:
        "defectbench measure --model {input.model} --test {input.test} --val {input.val} {params.truth} 2>&1 | tee {log}"


# what a cell passes through on its way, such as a cut network before it is trained again
rule measure_stage:
    input:
        model=f"{CELL}/{{stage}}/model.onnx",
        test=pack_of("test"),
        annotations=annotations_of,
        images=f"{PARTS}/test.txt",
        groups=f"{DATA}/groups.csv",
    output:
        f"{CELL}/{{stage}}/predictions.json",
        f"{CELL}/{{stage}}/predictions.record.json",
        f"{CELL}/{{stage}}/accuracy.json",
        f"{CELL}/{{stage}}/complexity.json",
    log:
        f"{CELL_LOGS}/{{stage}}/measure.log",
    wildcard_constraints:
        method=MODEL_FILES,
    threads: claim(1)
    params:
        truth=truth_options,
    shell:
        "defectbench measure --model {input.model} --test {input.test} {params.truth} 2>&1 | tee {log}"


# a method that makes predictions itself
rule evaluate_predictions:
    input:
        predictions=f"{CELL}/predictions.json",
        annotations=annotations_of,
        images=f"{PARTS}/test.txt",
        groups=f"{DATA}/groups.csv",
    output:
        f"{CELL}/accuracy.json",
    log:
        f"{CELL_LOGS}/evaluate.log",
    wildcard_constraints:
        method=PREDICTING,
    params:
        truth=truth_options,
    shell:
        "defectbench evaluate --predictions {input.predictions} {params.truth} --out {output} 2>&1 | tee {log}"


for task in TASKS:
    if PLAN.controls_of(task):

        rule:
            name:
                f"measure_{task}_controls"
            input:
                annotations=annotations_of,
                images=f"{PARTS}/test.txt",
                train=f"{PARTS}/train.txt",
                overlaps=f"{DATA}/overlaps.csv",
                groups=f"{DATA}/groups.csv",
            output:
                [
                    f"{RUNS}/{{dataset}}/{{protocol}}/control_{kind}/seed0/{file}"
                    for kind in PLAN.controls_of(task)
                    for file in ("predictions.json", "accuracy.json")
                ],
            log:
                f"{LOGS}/{{dataset}}/{{protocol}}/controls.log",
            wildcard_constraints:
                dataset=pattern(PLAN.datasets_of(task)),
            params:
                kinds=" ".join(f"--kind {kind}" for kind in PLAN.controls_of(task)),
                data=subpath(input.groups, parent=True),
                seed=STUDY.split_seed,
                folder=subpath(output[0], ancestor=3),
            shell:
                "defectbench measure-controls {params.kinds} --dataset {params.data} --protocol {wildcards.protocol} "
                "--split-seed {params.seed} --out {params.folder} 2>&1 | tee {log}"


if PLAN.raced:

    # One race of all files: what slows one slows all.
    rule race_models:
        input:
            models=raced("model.onnx"),
            packs=raced_packs(),
            points=raced("operating_point.json"),
            predictions=raced("predictions.record.json"),
            forms=raced_forms(),
        output:
            [path for record in STUDY.latency_records for path in raced(record)],
        log:
            f"{LOGS}/race.log",
        threads: all_cores
        params:
            settings=steps.as_json(STUDY.latency),
            cells=[f"{RUNS}/{cell.folder}" for cell in PLAN.raced],
            forms=" ".join(f"--form {form.name}" for form in STUDY.forms),
        shell:
            "defectbench race --settings {params.settings:q} {params.forms} {params.cells:q} 2>&1 | tee {log}"
