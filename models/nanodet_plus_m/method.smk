# the longest run of the default study goes first
use rule train_network as train_nanodet_plus_m with:
    wildcard_constraints:
        method="nanodet_plus_m",
    priority: 20
