"""What the gate asserts of a study that was run: its cells, its tables, and the spread that says how much to ask."""
