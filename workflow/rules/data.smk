# From raw archives to packs.


rule acquire_dataset:
    input:
        card="datasets/{dataset}.yaml",
    output:
        raw=directory("results/data/{dataset}/raw"),
        source="results/data/{dataset}/source.json",
    log:
        "results/logs/{dataset}/acquire.log",
    params:
        mirror=mirror_option,
    shell:
        "defectbench acquire --card {input.card} --out results/data/{wildcards.dataset} {params.mirror} 2>&1 | tee {log}"


rule convert_dataset:
    input:
        card="datasets/{dataset}.yaml",
        raw="results/data/{dataset}/raw",
        source="results/data/{dataset}/source.json",
    output:
        images=directory("results/data/{dataset}/images"),
        annotations="results/data/{dataset}/annotations.json",
        conversion="results/data/{dataset}/conversion.json",
    log:
        "results/logs/{dataset}/convert.log",
    shell:
        "defectbench convert --card {input.card} --raw {input.raw} --out results/data/{wildcards.dataset} 2>&1 | tee {log}"


rule find_overlaps:
    input:
        images="results/data/{dataset}/images",
        annotations="results/data/{dataset}/annotations.json",
    output:
        "results/data/{dataset}/overlaps.csv",
    log:
        "results/logs/{dataset}/find-overlaps.log",
    threads: claim(2)
    shell:
        "defectbench find-overlaps --dataset results/data/{wildcards.dataset} 2>&1 | tee {log}"


rule group_images:
    input:
        images="results/data/{dataset}/images",
        annotations="results/data/{dataset}/annotations.json",
        overlaps="results/data/{dataset}/overlaps.csv",
    output:
        "results/data/{dataset}/groups.csv",
    log:
        "results/logs/{dataset}/group.log",
    shell:
        "defectbench group --dataset results/data/{wildcards.dataset} 2>&1 | tee {log}"


rule augment_before_split:
    input:
        images="results/data/{dataset}/images",
        annotations="results/data/{dataset}/annotations.json",
        groups="results/data/{dataset}/groups.csv",
    output:
        images=directory("results/data/{dataset}/paper/images"),
        annotations="results/data/{dataset}/paper/annotations.json",
    log:
        "results/logs/{dataset}/augment-offline.log",
    params:
        seed=STUDY.split_seed,
    shell:
        "defectbench augment-offline --dataset results/data/{wildcards.dataset} --seed {params.seed} 2>&1 | tee {log}"


rule split_dataset:
    input:
        annotations="results/data/{dataset}/annotations.json",
        groups="results/data/{dataset}/groups.csv",
        paper=paper_inputs,
        published=published_lists,
        train_list=train_list,
    output:
        "results/data/{dataset}/{protocol}/train.txt",
        "results/data/{dataset}/{protocol}/val.txt",
        "results/data/{dataset}/{protocol}/test.txt",
    log:
        "results/logs/{dataset}/{protocol}/split.log",
    wildcard_constraints:
        protocol="[a-z]+",
    params:
        seed=STUDY.split_seed,
        published=published_option,
        train_list=train_list_option,
    shell:
        "defectbench split --dataset results/data/{wildcards.dataset} --protocol {wildcards.protocol} "
        "--seed {params.seed} {params.published} {params.train_list} 2>&1 | tee {log}"


use rule split_dataset as thin_split with:
    output:
        "results/data/{dataset}/{protocol}/train.txt",
        "results/data/{dataset}/{protocol}/val.txt",
        "results/data/{dataset}/{protocol}/test.txt",
        "results/data/{dataset}/{protocol}/left_out.txt",
    wildcard_constraints:
        protocol="[a-z]+-[a-z0-9]+",


rule certify_split:
    input:
        part_lists,
        overlaps="results/data/{dataset}/overlaps.csv",
        groups="results/data/{dataset}/groups.csv",
    output:
        "results/data/{dataset}/{protocol}/certificate.json",
    log:
        "results/logs/{dataset}/{protocol}/certify.log",
    params:
        seed=STUDY.split_seed,
    shell:
        "defectbench certify --dataset results/data/{wildcards.dataset} --protocol {wildcards.protocol} "
        "--seed {params.seed} 2>&1 | tee {log}"


rule pack_part:
    input:
        images="results/data/{dataset}/images",
        annotations=annotations_of,
        part="results/data/{dataset}/{protocol}/{part}.txt",
        certificate="results/data/{dataset}/{protocol}/certificate.json",
    output:
        "results/data/{dataset}/{protocol}/{part}@{size}.safetensors",
    log:
        "results/logs/{dataset}/{protocol}/pack-{part}-{size}.log",
    shell:
        "defectbench pack --dataset results/data/{wildcards.dataset} --protocol {wildcards.protocol} "
        "--part {wildcards.part} --size {wildcards.size} --out {output} 2>&1 | tee {log}"
