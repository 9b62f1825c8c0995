use rule train_detector as train_picodet_s with:
    wildcard_constraints:
        method="picodet_s",
