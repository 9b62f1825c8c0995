# Tables, figures and a page from the records of the study.


rule render_report:
    input:
        records=study_records(),
        cards=study_cards(),
    output:
        tables=TABLES,
        claims="results/report/claims.csv",
        figures=directory("results/report/figures"),
        gallery=directory("results/report/gallery"),
        page="results/report/index.html",
    log:
        f"results/logs/report-{STUDY.study}.log",
    params:
        runs=study_folders(),
        name=STUDY.study,
    shell:
        "defectbench report --study {params.name} --out results/report {params.runs} 2>&1 | tee {log}"
