"""A refresh in shards as a process of its own, that tells what it does: to be killed.

python -m tests.steps.refresh_in_shards URL BYTES [SCHEDULER | PROCESSES]
"""

import sys
from functools import partial

from tests.steps.test_shards import Shards, refresh

if __name__ == "__main__":
    url, size, *where = sys.argv[1:]
    place = where[0] if where else "1"
    to = {"processes": int(place)} if place.isdigit() else {"scheduler": place}
    refresh(url, Shards(bytes_each=int(size), report=partial(print, flush=True), **to))  # type: ignore[arg-type]
    print("done", flush=True)
