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
        options=report_options(),
        folder=subpath(output.page, parent=True),
    shell:
        "defectbench report --out {params.folder:q} {params.options} 2>&1 | tee {log}"


# From the records that lie there, of however much of the study: nothing is trained, predicted or timed. With
# --config reference=FOLDER, of that folder of kept records alone.
if GATE:

    rule tables:
        log:
            f"{LOGS}/tables.log",
        localrule: True
        params:
            reference=GATE.reference,
            formats=formats_option(),
            folder=f"{RESULTS}/{STUDY.study}/reference-report",
        shell:
            "defectbench report-reference {params.reference:q} --out {params.folder:q} {params.formats} 2>&1 | tee {log}"

else:

    rule tables:
        log:
            f"{LOGS}/tables.log",
        localrule: True
        params:
            options=report_options(),
            folder=REPORT,
        shell:
            "defectbench report --made --out {params.folder:q} {params.options} 2>&1 | tee {log}"


# Stored predictions are held against the truth once more; then the tables of what came out.
rule rescore:
    log:
        f"{LOGS}/rescore.log",
    localrule: True
    params:
        options=report_options(),
        runs=RUNS,
        folder=REPORT,
    shell:
        "(defectbench rescore {params.runs:q} && "
        "defectbench report --made --out {params.folder:q} {params.options}) 2>&1 | tee {log}"


include: "edge.smk"
include: "gate.smk"
