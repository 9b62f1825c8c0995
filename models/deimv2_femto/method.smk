use rule train_network as train_deimv2_femto with:
    wildcard_constraints:
        method="deimv2_femto",
