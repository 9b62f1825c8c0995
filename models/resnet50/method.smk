use rule train_detector as train_resnet50 with:
    wildcard_constraints:
        method="resnet50",
