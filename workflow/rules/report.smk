# Tables, figures and a site of pages from the records of the study.

# Which tables there are, the topics of the report say: `tables.json` lists them, so that a new one is no change here.
TABLES = f"{REPORT}/tables.json"
PAGE = f"{REPORT}/index.html"
REPORT_FILES = [
    TABLES,
    *(f"{REPORT}/{folder}" for folder in ("figures", "gallery", "pages")),
    PAGE,
]


rule render_report:
    input:
        records=[f"{RUNS}/{record}" for record in PLAN.records()],
        certificates=certificates(),
        cards=[f"models/{name}/card.yaml" for name in PLAN.base_methods()],
        printed=printed_tables(),
        topics=topic_files(),
        boards=board_records(),
    output:
        tables=TABLES,
        # `snakemake --report` shows the figures; the site itself is the better page
        figures=report(
            directory(f"{REPORT}/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        gallery=directory(f"{REPORT}/gallery"),
        pages=directory(f"{REPORT}/pages"),
        page=PAGE,
    log:
        f"{LOGS}/report.log",
    params:
        runs=[f"{RUNS}/{folder}" for folder in PLAN.cells],
        name=STUDY.study,
        notes=notes_option(),
        folder=subpath(output.page, parent=True),
    shell:
        "defectbench report --study {params.name:q} --out {params.folder} {params.notes} {params.runs:q} 2>&1 | tee {log}"


# From the records that lie there, of however much of the study: nothing is trained, predicted or timed.
rule tables:
    log:
        f"{LOGS}/tables.log",
    localrule: True
    params:
        runs=[f"{RUNS}/{folder}" for folder in PLAN.cells],
        name=STUDY.study,
        notes=notes_option(),
        folder=REPORT,
    shell:
        "defectbench report --made --study {params.name:q} --out {params.folder:q} {params.notes} {params.runs:q} 2>&1 | tee {log:q}"


# Stored predictions are held against the truth once more; then the tables of what came out.
rule rescore:
    log:
        f"{LOGS}/rescore.log",
    localrule: True
    params:
        runs=RUNS,
        cells=[f"{RUNS}/{folder}" for folder in PLAN.cells],
        name=STUDY.study,
        notes=notes_option(),
        folder=REPORT,
    shell:
        "{{ defectbench rescore {params.runs:q} && "
        "defectbench report --made --study {params.name:q} --out {params.folder:q} {params.notes} {params.cells:q}; }} 2>&1 | tee {log:q}"


include: "edge.smk"
include: "gate.smk"
