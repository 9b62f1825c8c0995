use rule train_by_mmdetection as train_rtmdet_tiny with:
    wildcard_constraints:
        method="rtmdet_tiny",
