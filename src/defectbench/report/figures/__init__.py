"""Figures: each takes rows or cells and returns a drawing."""
