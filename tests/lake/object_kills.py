"""Writers to a lake on an object store that are killed before one of their requests, each in a process of its own."""

import os
import sys
from pathlib import Path

from t2s_pipeline.core.lake_place import ObjectPlace
from t2s_pipeline.lake import object_client
from tests.faults.kills import WRITERS, counting

REQUESTS = ("get", "put", "_put_if", "delete", "ranges")


def main() -> None:
    """Usage: python -m tests.lake.object_kills WRITER SCRATCH BUCKET PREFIX…: PREFIX/n is killed before request n."""
    write, scratch, bucket = WRITERS[sys.argv[1]], Path(sys.argv[2]), sys.argv[3]
    for prefix in sys.argv[4:]:
        step = int(prefix.rpartition("/")[2])
        child = os.fork()  # obstore has no threads yet in this process
        if child == 0:
            calls = [0]
            for name in REQUESTS:
                counted = counting(step, calls, getattr(object_client.ObjectClient, name))
                setattr(object_client.ObjectClient, name, counted)
            write(ObjectPlace(bucket, prefix, scratch), 2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(int(os.WIFSIGNALED(status)), flush=True)


if __name__ == "__main__":
    main()
