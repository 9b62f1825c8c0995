"""Readers of labels, one module a format; ``registry`` says which reader a name on a card stands for."""
