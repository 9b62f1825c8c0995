use rule train_network as train_tinydefectnet with:
    wildcard_constraints:
        method="tinydefectnet",
