use rule train_by_mmdetection as train_tood_r50 with:
    wildcard_constraints:
        method="tood_r50",
