"""Reasoning segmentation in remote sensing: a prompter that thinks, a frozen segmenter that draws."""
