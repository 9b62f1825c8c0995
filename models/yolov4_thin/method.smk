use rule train_detector as train_yolov4_thin with:
    wildcard_constraints:
        method="yolov4_thin",
