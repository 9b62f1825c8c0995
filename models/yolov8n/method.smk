use rule train_network as train_yolov8n with:
    wildcard_constraints:
        method="yolov8n",
