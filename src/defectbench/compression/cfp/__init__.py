"""Collaborative filter pruning: channels of classifiers go by rank and by clusters, and two teachers mend the cut."""
