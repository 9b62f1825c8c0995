use rule train_teacher as train_sd_gasnet_teacher with:
    wildcard_constraints:
        method="sd_gasnet",


use rule train_student as train_sd_gasnet with:
    wildcard_constraints:
        method="sd_gasnet",
