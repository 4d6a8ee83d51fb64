"""A refresh in shards as a process of its own, that tells what it does: to be killed.

python -m tests.steps.refresh_in_shards URL BYTES [SCHEDULER]
"""

import sys

from tests.steps.test_shards import Shards, refresh

if __name__ == "__main__":
    url, size, *scheduler = sys.argv[1:]
    workers = Shards(
        bytes_each=int(size), scheduler=scheduler[0] if scheduler else None, report=lambda told: print(told, flush=True)
    )
    refresh(url, workers)
    print("done", flush=True)
