# first of all: its slimmed form waits for it
use rule train_network as train_yolov4_thin with:
    wildcard_constraints:
        method="yolov4_thin",
    priority: 20
