use rule train_network as train_mobilenetv2 with:
    wildcard_constraints:
        method="mobilenetv2",
