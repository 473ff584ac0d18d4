"""The embedded dataset: overhead scenes with implicit questions, painted by a program from a seed.

It replaces EarthReason where nothing can be downloaded, in the same layout on disk:

- Image: RGB PNG, each side about 210 to 440 px; two to four of ten categories on farmland, grass, dry land or
  urban blocks, under one sun.
- Label: the union of all objects (one to four) of the asked category; objects never touch.
- Questions: three to five implicit questions that never name the category. Those of val and test include wordings
  that train never has (see `queries`).
- About 5 % of scenes are empty targets: the category that is asked about is absent, the label is zero everywhere, and
  there is no answer.
"""
