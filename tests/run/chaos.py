"""`python -m tests.run.chaos --kills 30 --seed 7`: the tests that kill at random moments (marked `chaos`), for longer.

The same seed gives the same kills in the same order; their moments are the machine's. Arguments after `--` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import random
import sys

KILLS_VARIABLE = "TASKSTREAM_TEST_KILLS"
SEED_VARIABLE = "TASKSTREAM_TEST_SEED"


def kills(usual: int) -> int:
    """How many kills a test makes: as many as were asked for, else as many as are usual in `make test`."""
    return int(os.environ.get(KILLS_VARIABLE, str(usual)))


def seed() -> int:
    """The seed that was asked for, else one of its own."""
    return int(os.environ.get(SEED_VARIABLE, "0")) or random.SystemRandom().randrange(1, 1 << 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="how many processes each test kills (default: 30)")
    parser.add_argument(
        "--seed", type=int, default=seed(), help="of the choice of victims (default: another each time)"
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    print(f"--kills {options.kills} --seed {options.seed}", flush=True)
    os.environ |= {KILLS_VARIABLE: str(options.kills), SEED_VARIABLE: str(options.seed)}
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-m", "chaos", "-v", *options.pytest])


if __name__ == "__main__":
    main()
