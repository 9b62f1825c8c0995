use rule train_by_ultralytics as train_yolov8n_ultralytics with:
    wildcard_constraints:
        method=r"yolov8n_ultralytics(\+from_\w+)?",
    params:
        network="yolov8n.yaml",
