use rule train_network as train_patchcore_mobilenetv2 with:
    wildcard_constraints:
        method="patchcore_mobilenetv2",
