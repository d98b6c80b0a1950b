"""A writer that is killed at any moment, readers beside it, and what has to hold afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from semvec.errors import FilterError
from semvec.store.collection import Collection, Settings
from semvec.store.local import LocalCollection

DIM = 32
GROUPS = 40
ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from tests.store.crash import write
write(sys.argv[1], int(sys.argv[2]))
"""
READER = """
import sys
from tests.store.crash import read
read(sys.argv[1])
"""


def operation(seed: int, number: int) -> dict[str, Any]:
    """Return what the writer of ``seed`` does as its ``number``-th act; the same for everybody who asks."""
    chance = random.Random(f"{seed} {number}")
    group = chance.randrange(GROUPS)
    kind = chance.choices(["upsert", "delete", "optimise"], [8, 2, 1])[0]
    return {"kind": kind, "group": group, "size": 5 + group * 7, "version": number}


def vectors_of(size: int, group: int, version: int) -> np.ndarray:
    return np.random.default_rng([group, version]).standard_normal((size, DIM)).astype(np.float32)


def write(place: str, seed: int) -> None:
    """Do one act after the other for ever; say the number of each once it is acknowledged."""
    kinds = ("flat", "sq8", "ivf-sq8")
    with Collection.open(place) as collection:
        assert isinstance(collection, LocalCollection)
        number = 0
        while True:
            one = operation(seed, number)
            ids = [f"{one['group']}-{at}" for at in range(one["size"])]
            if one["kind"] == "upsert":
                metadata = [{"group": one["group"], "version": number}] * len(ids)
                collection.upsert(ids, vectors_of(one["size"], one["group"], number), [f"text {number}"] * len(ids), metadata)
            elif one["kind"] == "delete":
                collection.delete(ids)
            elif collection.count():
                collection.optimise(kinds[number % 3])
            os.write(1, f"{number}\n".encode())
            number += 1


def read(place: str) -> None:
    """Look for torn states until there is one: a group half written, or an item that is not the one its version says."""
    chance = random.Random(os.getpid())
    with Collection.open(place) as collection:
        while True:
            group = chance.randrange(GROUPS)
            size = 5 + group * 7
            query = vectors_of(1, group, chance.randrange(50))
            try:
                hits = collection.search(query, size + 1, where=f"group = {group}")[0]
            except FilterError:
                continue  # no item has had metadata yet
            versions = {hit.metadata["version"] for hit in hits}
            assert len(versions) <= 1, f"group {group} is of versions {versions}"
            assert len(hits) in (0, size), f"group {group} has {len(hits)} of {size}"
            for version in versions:
                true = vectors_of(size, group, version)
                for hit in hits:
                    at = int(hit.id.split("-")[1])
                    cosine = float(true[at] @ query[0] / np.linalg.norm(true[at]) / np.linalg.norm(query[0]))
                    assert abs(hit.score - cosine) < 1e-4, f"{hit.id} scores {hit.score}, not {cosine}"
                    assert hit.text == f"text {version}"
            os.write(1, b".")


def state_after(seed: int, acts: int) -> dict[int, int]:
    """Return the version of every group after the first ``acts`` acts."""
    state: dict[int, int] = {}
    for number in range(acts):
        one = operation(seed, number)
        if one["kind"] == "upsert":
            state[one["group"]] = number
        elif one["kind"] == "delete":
            state.pop(one["group"], None)
    return state


def holds(collection: Collection, state: dict[int, int]) -> bool:
    """Whether the collection holds these versions of these groups, and nothing else."""
    expected = {f"{group}-{at}": version for group, version in state.items() for at in range(5 + group * 7)}
    items = list(collection.scan())
    if {item.id: item.metadata["version"] for item in items} != expected or collection.count() != len(expected):
        return False
    for item in items:
        group, at = map(int, item.id.split("-"))
        if not np.array_equal(item.vector, vectors_of(5 + group * 7, group, expected[item.id])[at]):
            return False
    return True


def trial(folder: Path, seed: int, seconds: float, readers: int = 3) -> dict[str, Any]:
    """Kill a writer after ``seconds`` of work, with ``readers`` beside it; return what was done, raise where something broke."""
    place = folder / f"c{seed}"
    Collection.open(place, Settings(DIM)).close()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(place), str(seed)], stdout=subprocess.PIPE, env=environment)
    watching = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(place)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        for _ in range(readers)
    ]
    assert writer.stdout is not None
    try:
        said = writer.stdout.readline()  # it has begun
        for reader in watching:
            assert reader.stdout is not None
            reader.stdout.read(1)  # so has it
        time.sleep(seconds)
    finally:
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
        writer.wait()
        time.sleep(0.2)
        looks = []
        for reader in watching:
            ended = reader.poll()
            reader.kill()
            out, error = reader.communicate()
            looks.append(1 + len(out))
            assert ended is None, f"a reader saw something torn: {error.decode()[-500:]}"
    acknowledged = said.count(b"\n")
    with Collection.open(place) as collection:
        assert isinstance(collection, LocalCollection)
        done = holds(collection, state_after(seed, acknowledged))
        one_more = not done and holds(collection, state_after(seed, acknowledged + 1))
        assert done or one_more, f"after {acknowledged} acknowledged acts the collection holds something else"
        assert not collection.check(), collection.check()
        if collection.count():
            collection.optimise()
            collection.delete([next(iter(collection.scan())).id])
    return {"acts": acknowledged, "in_flight_kept": one_more, "looks": looks, "killed_in": operation(seed, acknowledged)["kind"]}


if __name__ == "__main__":
    print(json.dumps(trial(Path(sys.argv[1]), int(sys.argv[2]), 2.0)))
