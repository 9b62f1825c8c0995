use rule train_network as train_repvgg_a0 with:
    wildcard_constraints:
        method="repvgg_a0",
