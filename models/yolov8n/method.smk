use rule train_detector as train_yolov8n with:
    wildcard_constraints:
        method="yolov8n",
