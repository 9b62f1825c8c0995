# From raw archives to packs.


rule acquire_dataset:
    input:
        card="datasets/{dataset}.yaml",
        manifest=manifest_of,
        mirror=seen_of_mirror,
    output:
        raw=directory(f"{DATA}/raw"),
        source=f"{DATA}/source.json",
    log:
        f"{LOGS}/{{dataset}}/acquire.log",
    params:
        mirror=mirror_option,
        state=state_of_mirror,
        folder=subpath(output.source, parent=True),
    shell:
        "defectbench acquire --card {input.card} --out {params.folder} {params.mirror} 2>&1 | tee {log}"


rule convert_dataset:
    input:
        card="datasets/{dataset}.yaml",
        raw=f"{DATA}/raw",
        source=f"{DATA}/source.json",
    output:
        images=directory(f"{DATA}/images"),
        annotations=f"{DATA}/annotations.json",
        conversion=f"{DATA}/conversion.json",
    log:
        f"{LOGS}/{{dataset}}/convert.log",
    params:
        folder=subpath(output.images, parent=True),
        state=state_of_mirror,  # told here too: raw data are gone after an acquisition that failed
    shell:
        "defectbench convert --card {input.card} --raw {input.raw} --out {params.folder} 2>&1 | tee {log}"


rule group_images:
    input:
        card="datasets/{dataset}.yaml",
        images=f"{DATA}/images",
        annotations=f"{DATA}/annotations.json",
    output:
        overlaps=f"{DATA}/overlaps.csv",
        groups=f"{DATA}/groups.csv",
    log:
        f"{LOGS}/{{dataset}}/group.log",
    threads: claim(2)
    params:
        folder=subpath(output.groups, parent=True),
    shell:
        "defectbench find-overlaps --dataset {params.folder} --group --card {input.card} 2>&1 | tee {log}"


rule augment_before_split:
    input:
        images=f"{DATA}/images",
        annotations=f"{DATA}/annotations.json",
        groups=f"{DATA}/groups.csv",
    output:
        images=directory(f"{PAPER}/images"),
        annotations=f"{PAPER}/annotations.json",
    log:
        f"{LOGS}/{{dataset}}/augment-offline.log",
    params:
        folder=subpath(input.groups, parent=True),
        seed=STUDY.split_seed,
    shell:
        "defectbench augment-offline --dataset {params.folder} --seed {params.seed} 2>&1 | tee {log}"


rule split_dataset:
    input:
        annotations=f"{DATA}/annotations.json",
        images=images_of,
        overlaps=f"{DATA}/overlaps.csv",
        groups=f"{DATA}/groups.csv",
        paper=paper_annotations,
        published=published_lists,
        train_list=train_lists,
        official=official_lists,
    output:
        f"{PARTS}/train.txt",
        f"{PARTS}/val.txt",
        f"{PARTS}/test.txt",
        f"{PARTS}/certificate.json",
    log:
        f"{LOGS}/{{dataset}}/{{protocol}}/split.log",
    wildcard_constraints:
        protocol="[a-z]+",
    params:
        folder=subpath(input.groups, parent=True),
        seed=STUDY.split_seed,
        published=published_option,
        train_list=train_list_option,
        card=official_option,
    shell:
        "defectbench split --dataset {params.folder} --protocol {wildcards.protocol} --seed {params.seed} "
        "{params.published} {params.train_list} {params.card} --certify 2>&1 | tee {log}"


use rule split_dataset as split_thinned_dataset with:
    output:
        f"{PARTS}/train.txt",
        f"{PARTS}/val.txt",
        f"{PARTS}/test.txt",
        f"{PARTS}/left_out.txt",
        f"{PARTS}/certificate.json",
    wildcard_constraints:
        protocol="[a-z]+-[a-z0-9]+",


rule pack_parts:
    input:
        images=images_of,
        annotations=annotations_of,
        parts=collect(
            f"{PARTS}/{{part}}.txt", part=["train", "val", "test"], allow_missing=True
        ),
        certificate=f"{PARTS}/certificate.json",
    output:
        f"{PARTS}/train@{{size}}.safetensors",
        f"{PARTS}/val@{{size}}.safetensors",
        f"{PARTS}/test@{{size}}.safetensors",
    log:
        f"{LOGS}/{{dataset}}/{{protocol}}/pack-{{size}}.log",
    params:
        folder=subpath(output[0], ancestor=3),
        seed=STUDY.split_seed,
    shell:
        "defectbench pack --dataset {params.folder} --protocol {wildcards.protocol} --split-seed {params.seed} "
        "--part train --part val --part test --size {wildcards.size} 2>&1 | tee {log}"


# Images cut into tiles, after the split: the lists are of whole images.
rule pack_tiles:
    input:
        images=images_of,
        annotations=annotations_of,
        parts=collect(
            f"{PARTS}/{{part}}.txt", part=["train", "val", "test"], allow_missing=True
        ),
        certificate=f"{PARTS}/certificate.json",
    output:
        f"{PARTS}/train@{{size}}.{{tiles}}.safetensors",
        f"{PARTS}/val@{{size}}.{{tiles}}.safetensors",
        f"{PARTS}/test@{{size}}.{{tiles}}.safetensors",
    log:
        f"{LOGS}/{{dataset}}/{{protocol}}/pack-{{size}}.{{tiles}}.log",
    params:
        folder=subpath(output[0], ancestor=3),
        seed=STUDY.split_seed,
        tiles=tiling_of,
    shell:
        "defectbench pack --dataset {params.folder} --protocol {wildcards.protocol} --split-seed {params.seed} "
        "--part train --part val --part test --size {wildcards.size} --tiles {params.tiles:q} 2>&1 | tee {log}"
