use rule train_detector as train_yolov4 with:
    wildcard_constraints:
        method="yolov4",
