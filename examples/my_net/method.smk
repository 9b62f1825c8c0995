use rule train_network as train_my_net with:
    wildcard_constraints:
        method="my_net",
