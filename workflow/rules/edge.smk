# Model files on a board that is reached by ssh: --config host=user@board. What came back stands in the cells.

if BOARD:

    rule pack_edge_bundle:
        input:
            models=packed_models(),
            artifacts=raced("model.onnx"),
            points=raced("operating_point.json"),
            predictions=raced("predictions.record.json"),
            scores=raced("accuracy.json"),
            packs=raced_packs(),
        output:
            directory(BUNDLE),
        log:
            f"{LOGS}/pack-edge-bundle.log",
        params:
            settings=steps.as_json(STUDY.latency),
            cells=[f"{RUNS}/{cell.folder}" for cell in PLAN.raced],
            forms=" ".join(f"--form {form.name}" for form in board_forms()),
        shell:
            "defectbench edge pack --settings {params.settings:q} {params.forms} --out {output} {params.cells:q} "
            "2>&1 | tee {log}"

    # an interrupted run goes on: what came back lies beside the record
    rule run_edge_bundle:
        input:
            BUNDLE,
        output:
            record=f"{BOARDS}/{BOARD.name}/board.json",
        log:
            f"{LOGS}/run-edge-bundle-{BOARD.name}.log",
        params:
            host=BOARD.host,
            board=BOARD.options,
            name=BOARD.name,
            folder=subpath(output.record, parent=True),
        shell:
            "defectbench edge run {params.host:q} --bundle {input} --out {params.folder} --name {params.name:q} "
            "{params.board} 2>&1 | tee {log}"

    rule edge:
        input:
            f"{BOARDS}/{BOARD.name}/board.json",
            REPORT_FILES,
        localrule: True

else:

    rule edge:
        log:
            f"{LOGS}/edge.log",
        localrule: True
        shell:
            "echo 'name the board: snakemake edge --cores 8 --config host=user@board' 2>&1 | tee {log} >&2; exit 2"
