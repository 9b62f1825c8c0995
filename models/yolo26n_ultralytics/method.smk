use rule train_by_ultralytics as train_yolo26n_ultralytics with:
    wildcard_constraints:
        method=r"yolo26n_ultralytics(\+from_\w+)?",
    params:
        network="yolo26n.yaml",
