use rule train_detector as train_lidd_net with:
    wildcard_constraints:
        method="lidd_net",
