"""The worker process, which loads models: its command line, and how it is started and stopped."""
