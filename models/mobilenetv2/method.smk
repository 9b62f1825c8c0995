use rule train_detector as train_mobilenetv2 with:
    wildcard_constraints:
        method="mobilenetv2",
