"""RefSegRS: referring segmentation with phrases, 512² images.

On disk: ``images/<id>.tif``, ``masks/<id>.tif`` and ``output_phrase_{train,val,test}.txt``. A line is the id, one
space, and the phrase. Only the first channel of a mask counts.
"""

from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.phrases import PhraseFiles

REFSEGRS = Benchmark(
    name="refsegrs",
    reader=PhraseFiles("images", "masks", first_channel=True),
    layout="images/, masks/ and output_phrase_train.txt, _val.txt or _test.txt",
    samples={"train": 2172, "val": 431, "test": 1817},
    is_referring=True,
)
