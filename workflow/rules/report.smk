# Tables, figures and a page from the records of the study.

TABLE_FILES = {
    "detection": [
        "comparison.csv",
        "comparison.md",
        "comparison.tex",
        "per_class.csv",
        "pairs.csv",
        "leakage.csv",
    ],
    "classification": [
        "classification.csv",
        "classification.md",
        "classification.tex",
        "classification_per_class.csv",
        "classification_pairs.csv",
    ],
}
TABLES = [
    f"{REPORT}/{file}"
    for task, files in TABLE_FILES.items()
    if PLAN.datasets_of(task)
    for file in files
]
PAGE = f"{REPORT}/index.html"
REPORT_FILES = [*TABLES, f"{REPORT}/figures", f"{REPORT}/gallery", PAGE]


rule render_report:
    input:
        records=[f"{RUNS}/{record}" for record in PLAN.records()],
        certificates=certificates(),
        cards=[f"models/{name}/card.yaml" for name in PLAN.base_methods()],
    output:
        tables=TABLES,
        claims=f"{REPORT}/claims.csv",
        figures=directory(f"{REPORT}/figures"),
        gallery=directory(f"{REPORT}/gallery"),
        page=PAGE,
    log:
        f"{LOGS}/report.log",
    params:
        runs=[f"{RUNS}/{folder}" for folder in PLAN.cells],
        name=STUDY.study,
        folder=subpath(output.page, parent=True),
    shell:
        "defectbench report --study {params.name} --out {params.folder} {params.runs:q} 2>&1 | tee {log}"
