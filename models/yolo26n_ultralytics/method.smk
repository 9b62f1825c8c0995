use rule train_by_ultralytics as train_yolo26n_ultralytics with:
    wildcard_constraints:
        method="yolo26n_ultralytics",
    params:
        network="yolo26n.yaml",
