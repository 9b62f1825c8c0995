"""Model files on a board: a bundle, the one file that runs there, and the connection.

``state``, ``sessions`` and ``board`` are what runs there. They are joined with the suite's suppression into one
file, so they import nothing else of the suite and keep to Python 3.8, the oldest that boards have.
"""
