# Other forms of a cell's model file: quantised, or in the files of an engine; each is scored as the artifact is.


rule quantise_model:
    input:
        model=f"{CELL}/model.onnx",
        train=pack_of("train"),
    output:
        model=f"{CELL}/engines/int8/model.onnx",
        record=f"{CELL}/engines/int8/conversion.json",
    log:
        f"{CELL_LOGS}/quantise.log",
    wildcard_constraints:
        method=MODEL_FILES,
    threads: claim(1)
    shell:
        "defectbench quantise --model {input.model} --train {input.train} --out {output.model} 2>&1 | tee {log}"


rule convert_model:
    input:
        network_of_form,
        model=source_of_form,
    output:
        model=directory(f"{CELL}/engines/{{form}}/model"),
        record=f"{CELL}/engines/{{form}}/conversion.json",
    log:
        f"{CELL_LOGS}/convert-{{form}}.log",
    wildcard_constraints:
        method=MODEL_FILES,
        form=CONVERTED_FORMS,
    threads: claim(1)
    params:
        method=method_folder,
    shell:
        "defectbench convert-model --model {input.model} --form {wildcards.form} --method {params.method} "
        "--out {output.model} 2>&1 | tee {log}"


rule measure_form:
    input:
        artifact=f"{CELL}/model.onnx",
        form=files_of_form,
        test=pack_of("test"),
        annotations=annotations_of,
        images=f"{PARTS}/test.txt",
        groups=f"{DATA}/groups.csv",
    output:
        f"{CELL}/engines/{{form}}/predictions.json",
        f"{CELL}/engines/{{form}}/predictions.record.json",
        f"{CELL}/engines/{{form}}/accuracy.json",
        f"{CELL}/engines/{{form}}/agreement.json",
    log:
        f"{CELL_LOGS}/measure-{{form}}.log",
    wildcard_constraints:
        method=MODEL_FILES,
        form=FORMS,
    threads: claim(1)
    params:
        cell=subpath(input.artifact, parent=True),
        truth=truth_options,
    shell:
        "defectbench measure-form --cell {params.cell} --form {wildcards.form} --test {input.test} {params.truth} "
        "2>&1 | tee {log}"
