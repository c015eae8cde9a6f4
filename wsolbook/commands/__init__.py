"""The verbs of the `wsolbook` command: thin, and imported by nothing else."""
