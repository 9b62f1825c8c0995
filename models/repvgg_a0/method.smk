use rule train_detector as train_repvgg_a0 with:
    wildcard_constraints:
        method="repvgg_a0",
