use rule train_detector as train_yolox_nano with:
    wildcard_constraints:
        method="yolox_nano",
