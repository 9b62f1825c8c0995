use rule train_network as train_nanodet_m with:
    wildcard_constraints:
        method="nanodet_m",
