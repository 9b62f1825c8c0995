"""What is measured of a cell."""
