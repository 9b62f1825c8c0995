use rule train_network as train_yolox_nano with:
    wildcard_constraints:
        method="yolox_nano",
