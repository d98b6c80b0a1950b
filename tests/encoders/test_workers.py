"""Batches side by side: the same results in the same order, and nothing of torch's settings changed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from semvec.encoders.batches import Budget, Ceiling, in_shares
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.workers import Workers, cores, one_by_one


def test_in_their_order_each_on_one_core() -> None:
    told: dict[int, int] = {}

    def work(item: int) -> None:
        time.sleep(0.002 * (item % 3))
        told[item] = torch.get_num_threads()

    before = torch.get_num_threads()
    with Workers() as workers:
        assert list(workers.run(work, range(20))) == list(range(20))
    assert told == dict.fromkeys(range(20), 1)
    assert torch.get_num_threads() == cores() == before
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]
    assert list(one_by_one(told.__delitem__, range(20))) == list(range(20))
    assert not told


def test_an_error_is_passed_on_and_the_rest_is_dropped() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 3:
            raise ValueError("the third")
        time.sleep(0.01)
        done.append(item)

    with pytest.raises(ValueError, match="the third"), Workers() as workers:
        list(workers.run(work, range(500)))
    time.sleep(0.05)
    assert len(done) < 100


def test_shares_come_near_to_the_budget() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 40, 300)]
    shares = list(in_shares(lengths, lambda n: n, Budget(128, Ceiling())))
    assert [n for share in shares for n in share] == sorted(lengths, reverse=True)
    assert all(128 - max(share) < sum(share) <= 128 for share in shares[:-1])
    assert list(in_shares([300, 7], lambda n: n, Budget(128, Ceiling()))) == [[300], [7]]


def test_windows_of_a_text_on_several_threads(contextual: dict[str, ContextualEncoder]) -> None:
    texts = [" ".join(f"river bank {at}" for at in range(30 + n)) for n in range(12)]
    encoder = contextual["bert"].with_options(level="token", overflow="windows", max_tokens=16)
    expected = encoder.encode(texts, backend="torch").vectors
    np.testing.assert_allclose(encoder.encode(texts, batch_tokens=32).vectors, expected, atol=1e-5)


def test_several_users_at_once(contextual: dict[str, ContextualEncoder]) -> None:
    texts = [f"the river bank {at}" for at in range(80)]
    expected = contextual["bert"].encode(texts).vectors
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(contextual["bert"].encode(texts).vectors)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for its in found:
        np.testing.assert_allclose(its, expected, atol=1e-5)


@pytest.mark.parametrize("last", ["thread", "fork"])
def test_at_the_end_of_a_process_and_in_a_child(folders: dict[str, Path], last: str) -> None:
    """No thread takes work any more when the main one has ended; none lives on in a process that was forked."""
    code = f"""
import os, sys, threading, time
from semvec.encoders.contextual import ContextualEncoder
encoder = ContextualEncoder.from_pretrained({str(folders["bert"])!r}, device="cpu")
texts = [f"the river bank {{at}}" for at in range(80)]
encoder.encode(texts)
def again():
    time.sleep(0.3)
    print(len(encoder.encode(texts)), flush=True)
if {last!r} == "thread":
    threading.Thread(target=again).start()
elif os.fork() == 0:
    import torch
    torch.set_num_threads(1)  # torch's own threads are not there in a child
    again()
    os._exit(0)
else:
    os.wait()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.strip() == "80", done.stderr


@pytest.mark.parametrize("count", [1, 2, 3])
def test_vectors_are_the_same_on_any_number_of_cores(contextual: dict[str, ContextualEncoder], count: int) -> None:
    texts = [" ".join(["the", "river", "bank", str(at)][: 1 + at % 4] * (1 + at % 7)) for at in range(60)]
    alone = np.concatenate([contextual["bert"].encode([text]).vectors for text in texts])
    before, told = torch.get_num_threads(), []
    try:
        torch.set_num_threads(count)
        found = contextual["bert"].encode(texts, batch_tokens=40, progress=lambda at, n: told.append((at, n))).vectors
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert told == sorted(told)
    assert told[-1] == (60, 60)
