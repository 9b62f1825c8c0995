use rule train_network as train_fastestdet with:
    wildcard_constraints:
        method="fastestdet",
