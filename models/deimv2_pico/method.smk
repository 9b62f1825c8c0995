use rule train_network as train_deimv2_pico with:
    wildcard_constraints:
        method="deimv2_pico",
