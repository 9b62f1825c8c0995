"""Training on packs: batches, step, schedule, EMA, checkpoints."""
