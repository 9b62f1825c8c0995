use rule train_by_ultralytics as train_yolov8n_ultralytics with:
    wildcard_constraints:
        method="yolov8n_ultralytics",
    params:
        network="yolov8n.yaml",
