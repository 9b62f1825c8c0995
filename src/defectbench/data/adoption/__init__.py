"""A folder of a user's own pictures: what lies in it, told from its files, and made a dataset of the suite."""
