"""Boxes, points, masks and image files, and pictures of samples."""
