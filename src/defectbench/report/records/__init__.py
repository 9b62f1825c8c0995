"""What the records of cells say: cells and entries, comparisons of methods, costs."""
