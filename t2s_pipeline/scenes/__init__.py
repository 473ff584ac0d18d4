"""Scenes of any size: read by windows, asked, and answered with a mask and objects on the map."""
