use rule train_by_ultralytics as train_yolo11n_ultralytics with:
    wildcard_constraints:
        method=r"yolo11n_ultralytics(\+from_\w+)?",
    params:
        network="yolo11n.yaml",
