# The study against a reference: --config reference=FOLDER. It makes no file that another rule asks for, so it always runs.

if GATE:

    rule gate:
        input:
            REPORT_FILES,
        log:
            f"{LOGS}/gate.log",
        threads: all_cores
        params:
            reference=GATE.options,
            settings=steps.as_json(STUDY.latency),
            runs=RUNS,
            folder=f"{RESULTS}/{STUDY.study}/gate",
        shell:
            "defectbench gate {params.runs:q} {params.reference} --settings {params.settings:q} --out {params.folder} "
            "2>&1 | tee {log}"

else:

    rule gate:
        log:
            f"{LOGS}/gate.log",
        localrule: True
        shell:
            "echo 'name the reference: snakemake gate --cores 8 --config reference=FOLDER' 2>&1 | tee {log} >&2; exit 2"
