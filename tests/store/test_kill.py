"""kill -9 at random moments (benchmarks/kill_store.py does it fifty times), and a disk that fills up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semvec.store.collection import Collection, Settings
from semvec.store.local import LocalCollection
from tests.store.crash import ROOT, trial


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_is_there(tmp_path: Path, seed: int) -> None:
    done = trial(tmp_path, seed, 0.2 + 0.4 * seed, readers=1)
    assert done["acts"] > 0
    assert done["looks"][0] > 0


FILLING = """
import resource, signal, sys
import numpy as np
from semvec.errors import SemvecError
from semvec.store.collection import Collection
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
written = 0
with Collection.open(sys.argv[1]) as collection:
    try:
        while True:
            ids = [f"{written + at}" for at in range(100)]
            collection.upsert(ids, np.ones((100, 256)), ["text"] * 100, [{"at": written}] * 100)
            written += 100
    except SemvecError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, int(sys.argv[2])))
    try:
        collection.optimise()
    except SemvecError as error:
        print(error)
print(written)
"""


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    Collection.open(tmp_path / "c", Settings(256)).close()
    command = [sys.executable, "-c", FILLING, str(tmp_path / "c"), "600000"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    *errors, written = done.stdout.splitlines()
    assert len(errors) == 2, done.stdout
    assert all(str(tmp_path / "c") in error for error in errors)
    with Collection.open(tmp_path / "c") as collection:
        assert isinstance(collection, LocalCollection)
        assert collection.count() == int(written) > 0
        assert not collection.check()
        assert {path.name for path in (tmp_path / "c").iterdir()} >= {"collection.sqlite"}
        assert collection.optimise()["rows"] == int(written)
