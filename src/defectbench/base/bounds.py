"""Bounds that settings and options of a command line share; here nothing is imported that takes its time to load."""

LAST_SEED = 2**32 - 1  # the largest that every library and program takes
LARGEST_SIDE = 8192  # of an input, pixels
LEAST_DEFECT_FREE = 20  # images by which a share of rejected good parts can be told
