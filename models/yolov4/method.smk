use rule train_network as train_yolov4 with:
    wildcard_constraints:
        method="yolov4",
