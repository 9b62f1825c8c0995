use rule train_detector as train_tinydefectnet with:
    wildcard_constraints:
        method="tinydefectnet",
