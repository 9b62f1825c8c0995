# DefectBench: from raw archives to paper-style tables.
#
#   snakemake --cores 8 all                                      the default study, offline
#   snakemake all --cores 8 --configfile config/neu-det.yaml     real steel

from snakemake.utils import min_version

min_version("9.14")

if "study" not in config:

    configfile: "config/demo.yaml"


include: "workflow/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/slimming.smk"
include: "workflow/rules/slimming.smk"
include: "workflow/filters.smk"
include: "workflow/rules/cfp.smk"
include: "workflow/rules/programs.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/report.smk"


for method in METHODS:

    include: f"models/{method}/method.smk"


rule all:
    default_target: True
    input:
        REPORT,
    localrule: True


rule datasets:
    input:
        certificates(),
    localrule: True


rule scores:
    input:
        [f"{RUNS}/{folder}/accuracy.json" for folder in CELLS],
    localrule: True
