use rule train_network as train_yolo_fastestv2 with:
    wildcard_constraints:
        method="yolo_fastestv2",
