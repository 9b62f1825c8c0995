use rule train_network as train_vgg16 with:
    wildcard_constraints:
        method="vgg16",
