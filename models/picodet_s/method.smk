use rule train_network as train_picodet_s with:
    wildcard_constraints:
        method="picodet_s",
