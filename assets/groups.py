"""The names of the groups of assets, in the order of a sample's way.

https://docs.dagster.io/guides/build/assets
"""

DATASETS = "datasets"
LABELS = "labels"
TRAINING = "training"
PREDICTIONS = "predictions"
RESULTS = "results"
SCENES = "scenes"
