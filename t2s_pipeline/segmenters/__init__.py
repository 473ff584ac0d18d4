"""Frozen segmenters: an image is encoded once, then many prompt sets are decoded together."""
