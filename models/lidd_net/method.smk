use rule train_network as train_lidd_net with:
    wildcard_constraints:
        method="lidd_net",
