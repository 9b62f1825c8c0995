# A folder of a user's own pictures: --config data=DIR makes a dataset of it; minutes=60 also says which method to take.
# The verbs write a card and studies, and the second runs them by a workflow of its own; nothing here has an output.


rule my:
    default_target: True
    localrule: True
    params:
        folder=config["data"],
        minutes=config.get("minutes", 0),
        overkill=config.get("overkill", 0.05),
        cores=workflow.cores,
        weights=["--weights", config["weights"]] if "weights" in config else [],
    shell:
        "defectbench adopt {params.folder:q} {params.weights:q} && if [ {params.minutes:q} != 0 ]; then "
        "defectbench recommend {params.folder:q} --minutes {params.minutes:q} --overkill {params.overkill:q} "
        "--cores {params.cores} {params.weights:q}; fi"
