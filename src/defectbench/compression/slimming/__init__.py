"""Network slimming: channels and residual units go by the scales of batch norms that sparse training leaves."""
