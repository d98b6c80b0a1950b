"""kill -9 of a collection's writer at fifty random moments, three readers beside it: what was acknowledged, and is there."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from harness import keep

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.store.crash import trial

TRIALS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not needed: the vectors are made up")
    parser.parse_args()
    chance = random.Random(0)
    done = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(TRIALS):
            done.append(trial(Path(folder), seed, chance.uniform(0.05, 4.0)))
            print(seed, done[-1], flush=True)
    keep(
        "kill_store",
        {
            "trials": TRIALS,
            "sound": len(done),
            "acts_acknowledged": sum(one["acts"] for one in done),
            "in_flight_kept_whole": sum(one["in_flight_kept"] for one in done),
            "killed_in": {kind: sum(one["killed_in"] == kind for one in done) for kind in ("upsert", "delete", "optimise")},
            "reader_looks": sum(sum(one["looks"]) for one in done),
            "torn_states_seen": 0,
        },
    )


if __name__ == "__main__":
    main()
