# DefectBench: from raw archives to paper-style tables.
#   snakemake --cores 8 all                                      the default study, offline
#   snakemake all --cores 8 --configfile config/neu-det.yaml     real steel
#   snakemake my --cores 8 --config data=DIR minutes=60          a folder of your own pictures

from snakemake.utils import min_version

min_version("9.14")

# What a folder of one's own becomes is known once it was looked at: that is a workflow of its own.
if "data" in config:

    include: "workflow/rules/my.smk"

else:

    if not {"study", "blocks"} & set(config):

        configfile: "config/demo.yaml"

    include: "workflow/helpers/study.smk"
    include: "workflow/helpers/data.smk"
    include: "workflow/rules/data.smk"
    include: "workflow/rules/training.smk"
    include: "workflow/helpers/slimming.smk"
    include: "workflow/rules/slimming.smk"
    include: "workflow/helpers/cfp.smk"
    include: "workflow/rules/cfp.smk"
    include: "workflow/rules/programs.smk"
    include: "workflow/helpers/measure.smk"
    include: "workflow/helpers/engines.smk"
    include: "workflow/rules/engines.smk"
    include: "workflow/rules/measure.smk"
    include: "workflow/helpers/report.smk"
    include: "workflow/rules/report.smk"

    for method in PLAN.catalogue.names:

        include: f"models/{method}/method.smk"

    rule all:
        default_target: True
        input:
            REPORT_FILES,
        localrule: True

    rule datasets:
        input:
            certificates(),
        localrule: True

    rule scores:
        input:
            [f"{RUNS}/{folder}/accuracy.json" for folder in PLAN.cells],
        localrule: True

    onsuccess:
        if os.path.exists(PAGE):
            print(f"The page of study {STUDY.study}: {PAGE}")
