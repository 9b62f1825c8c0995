use rule train_by_mmdetection as train_foveabox_r50 with:
    wildcard_constraints:
        method="foveabox_r50",
