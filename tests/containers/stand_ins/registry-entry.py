"""The main program of the registry's stand-in: the tests' registry on all addresses, its schemas in a file.

Like the real one, it has them again after it was killed.
"""

import pickle
import signal
import sys
import time
from pathlib import Path

from registry_server import serving

KEPT = Path("/tmp/schemas")
# The first process of a container is not ended by a signal that it has no handler for.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with serving("0.0.0.0", 8081) as registry:
    registry.first_id = 1
    if KEPT.exists():
        registry.schemas, registry.subjects, registry.levels = pickle.loads(KEPT.read_bytes())
    written = b""
    while True:
        now = pickle.dumps((registry.schemas, registry.subjects, registry.levels))
        if now != written:
            fresh = KEPT.with_suffix(".new")
            fresh.write_bytes(now)
            fresh.replace(KEPT)
            written = now
        time.sleep(0.1)
