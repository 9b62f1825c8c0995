"""Published weights: readers of their files, the way into our networks, and the proof that both compute the same."""
