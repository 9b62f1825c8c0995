use rule train_network as train_resnet50 with:
    wildcard_constraints:
        method="resnet50",
