"""Cells on a board: what is packed of them, what comes back, and the records that it becomes."""
