"""The steps of the pipeline: what each reads, writes and does, and the runner that decides whether to run them."""
