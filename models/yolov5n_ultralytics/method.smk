use rule train_by_ultralytics as train_yolov5n_ultralytics with:
    wildcard_constraints:
        method="yolov5n_ultralytics",
    params:
        network="yolov5n.yaml",
