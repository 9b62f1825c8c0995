"""Formats of tables: each knows ``Table`` and nothing of what it is about."""
