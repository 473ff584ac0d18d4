"""The embedded dataset: procedural overhead scenes with implicit questions, drawn from a seed.

It stands in for EarthReason where nothing can be downloaded, in the same on-disk layout:

- Image: RGB PNG, each side about 210 to 440 px; two to four of ten categories on farmland, grass, dry land or
  urban blocks, under one sun.
- Label: the union of all objects (one to four) of the asked category; objects never touch.
- Questions: three to five implicit ones that never name the category; val and test mix wordings that train
  never sees with those it does (see `queries`).
- About 5 % of scenes are empty targets: the asked category is absent, the label is zero, there is no answer.
"""
