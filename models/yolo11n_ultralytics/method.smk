use rule train_by_ultralytics as train_yolo11n_ultralytics with:
    wildcard_constraints:
        method="yolo11n_ultralytics",
    params:
        network="yolo11n.yaml",
