# What is measured of a cell. Predictions are made from model.onnx: the timed file is the scored file.


rule predict_test_part:
    input:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}model.onnx",
        pack=pack_of("test"),
    output:
        predictions=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}predictions.json",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}predictions.record.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/{stage}predict.log",
    wildcard_constraints:
        method=EXPORTING,
    threads: claim(1)
    shell:
        "defectbench predict --model {input.model} --pack {input.pack} --out {output.predictions} 2>&1 | tee {log}"


rule predict_control:
    input:
        annotations=annotations_of,
        overlaps="results/data/{dataset}/overlaps.csv",
        train="results/data/{dataset}/{protocol}/train.txt",
        test="results/data/{dataset}/{protocol}/test.txt",
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/control_{{control}}/seed{{seed}}/predictions.json",
    log:
        "results/logs/{dataset}/{protocol}/control_{control}/seed{seed}/predict.log",
    shell:
        "defectbench control --kind {wildcards.control} --dataset results/data/{wildcards.dataset} "
        "--protocol {wildcards.protocol} --seed {wildcards.seed} --out {output} 2>&1 | tee {log}"


rule evaluate_accuracy:
    input:
        annotations=annotations_of,
        test="results/data/{dataset}/{protocol}/test.txt",
        groups="results/data/{dataset}/groups.csv",
        predictions=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}predictions.json",
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}accuracy.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/{stage}evaluate.log",
    shell:
        "defectbench evaluate --annotations {input.annotations} --images {input.test} --groups {input.groups} "
        "--predictions {input.predictions} --out {output} 2>&1 | tee {log}"


rule count_complexity:
    input:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}model.onnx",
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/{{stage}}complexity.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/{stage}count.log",
    shell:
        "defectbench count --model {input.model} --out {output} 2>&1 | tee {log}"


rule choose_threshold:
    input:
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        val=pack_of("val"),
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/operating_point.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/choose-threshold.log",
    shell:
        "defectbench choose-threshold --model {input.model} --val {input.val} --out {output} 2>&1 | tee {log}"


rule time_latency:
    input:
        point=operating_point,
        model=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/model.onnx",
        pack=pack_of("test"),
    output:
        f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/latency/onnxruntime.json",
    log:
        "results/logs/{dataset}/{protocol}/{method}/seed{seed}/time.log",
    threads: all_cores
    params:
        protocol=latency_options,
        point=operating_point_option,
    shell:
        "defectbench time --model {input.model} --pack {input.pack} {params.point} {params.protocol} --out {output} 2>&1 | tee {log}"
