"""RISBench: referring segmentation with phrases, 512² images.

On disk: ``img_rgb/``, ``mask/`` (same file name) and ``output_phrase_{train,val,test}.txt``. A line is a file name with
its ending, one space, and the phrase.
"""

from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.phrases import PhraseFiles

RISBENCH = Benchmark(
    name="risbench",
    reader=PhraseFiles("img_rgb", "mask"),
    layout="img_rgb/, mask/ and output_phrase_train.txt, _val.txt or _test.txt",
    samples={"train": 26_300, "val": 10_013, "test": 16_158},
    is_referring=True,
)
