"""The folder to deploy: a model, its threshold, what it scored, a script that runs it, and a check of that script."""
