use rule train_detector as train_nanodet_m with:
    wildcard_constraints:
        method="nanodet_m",
