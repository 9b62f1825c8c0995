use rule train_network as train_deimv2_atto with:
    wildcard_constraints:
        method="deimv2_atto",
