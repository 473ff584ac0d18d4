"""Prompters: LVLMs that turn an image and a question into an answer text."""
