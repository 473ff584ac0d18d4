"""The painted referring dataset: one object per expression, told apart by category, colour and place.

On disk it is RISBench's layout. `t2s studies paint` writes it (``datasets/synthetic/studies.py``).
"""

from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.phrases import PhraseFiles
from t2s_pipeline.datasets.synthetic.studies import REFERRING, REFERRING_COUNTS

SYNTHETIC_REFERRING = Benchmark(
    name=REFERRING,
    reader=PhraseFiles("img_rgb", "mask"),
    layout="img_rgb/, mask/ and output_phrase_train.txt, _val.txt or _test.txt, as `t2s studies paint` writes them",
    samples=REFERRING_COUNTS,
    is_referring=True,
)
