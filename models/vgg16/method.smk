use rule train_detector as train_vgg16 with:
    wildcard_constraints:
        method="vgg16",
