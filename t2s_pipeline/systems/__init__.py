"""Systems by name: runs, checkpoints in the watched folder, and answers that were made elsewhere."""
