"""``semvec train`` as a shell runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import semvec
from semvec_cli.main import main
from tests.encoders.test_train import KINDS, TEXTS, files_of

RUN = "from semvec_cli.main import run; run()"
SMALL = ("--dim", "8", "--min-count", "2", "--epochs", "2", "--seed", "7")


def run(*args: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_train_and_encode(tmp_path: Path, corpus: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semvec.encoders.word_train_options.threads", lambda: 4)
    own = ("--buckets", "200") if kind == "fasttext" else ()
    done = run("train", kind, corpus, "-o", tmp_path / "m", *SMALL, *own)
    assert done.exit_code == 0, done.output
    assert done.stderr == "one thread, so that seed 7 repeats the run; without --seed it takes 4 threads\n"
    assert f"200 texts, {sum(len(text.split()) for text in TEXTS):,} words → 31 words of 8 ({kind} " in done.stdout
    assert ("loss a word, epoch by epoch: " in done.stdout) == (kind == "word2vec")
    assert run("encode", corpus, "-o", tmp_path / "x.npy", "-m", tmp_path / "m").exit_code == 0
    found = semvec.read_embeddings(tmp_path / "x.npy")
    assert found == semvec.load_encoder(tmp_path / "m").encode(TEXTS).with_ids([str(n) for n in range(1, 201)])
    again = run("train", kind, "-", "-o", tmp_path / "n", "--quiet", *SMALL, *own, stdin=corpus.read_bytes())
    assert again.exit_code == 0
    assert not again.output
    assert files_of(tmp_path / "m") == files_of(tmp_path / "n")


def test_the_summary_says_what_was_left_out(tmp_path: Path) -> None:
    rows = [f'"{text} Rare{i}"' for i, text in enumerate(TEXTS)]
    (tmp_path / "t.csv").write_text("\n".join(["review,n", *(f"{row},1" for row in rows), '"",1', '"a",1,2']))
    done = run(
        "train", "word2vec", tmp_path / "t.csv", "-o", tmp_path / "m", "--text-field", "review", "--on-error", "skip", *SMALL
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "200 words left out that come less than 2 times" in done.stdout
    assert "1 texts have no words" in done.stdout
    assert "1 bad rows left out, the first at" in done.stdout
    assert "line 203" in done.stdout
    assert "near '" in done.stdout


def test_go_on(tmp_path: Path, corpus: Path) -> None:
    assert run("train", "word2vec", corpus, "-o", tmp_path / "a", *SMALL).exit_code == 0
    done = run("train", "word2vec", corpus, "-o", tmp_path / "b", "--continue", tmp_path / "a", "--epochs", 1)
    assert done.exit_code == 0, done.output
    assert "words of 8 (word2vec cbow)" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["word2vec", "empty.txt", "-o", "m"], ["there are no texts"]),
        (["word2vec", "rare.txt", "-o", "m"], ["no word comes 5 times", "--min-count"]),
        (["word2vec", "bad.txt", "-o", "m"], ["bad.txt, line 2: not UTF-8", "--on-error skip"]),
        (["word2vec", "nowhere.txt", "-o", "m"], ["no such file"]),
        (["word2vec", "corpus.txt", "-o", "corpus.txt"], ["exists already"]),
        (["word2vec", "corpus.txt", "-o", "corpus.txt", "--overwrite"], ["no folder of word vectors"]),
        (["word2vec", "corpus.txt"], ["Missing option", "--output"]),
        (["word2vec", "corpus.txt", "-o", "m", "--continue", "corpus.txt"], ["cannot go on"]),
        (["word2vec", "corpus.txt", "-o", "m", "--min-n", "2"], ["--min-n"]),
        (["word2vec", "corpus.txt", "-o", "m", "--algorithm", "pv-dm"], ["cbow", "skip-gram"]),
        (["word2vec", "corpus.txt", "-o", "m", "--seed", "1", "--workers", "2"], ["only in one thread"]),
        (["word2vec", "corpus.txt", "-o", "m", "--phrase-threshold", "2"], ["without phrases"]),
        (["fasttext", "corpus.txt", "-o", "m", "--min-n", "4", "--max-n", "3"], ["max_n (3) must be at least min_n (4)"]),
        (["word2vec", "corpus.txt", "-o", "m", "--text-field", "t"], ["has no columns"]),
        (["glove", "corpus.txt", "-o", "m"], ["glove"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(tmp_path: Path, corpus: Path, args: list[str], words: list[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "rare.txt").write_text("a b c\n")
    (tmp_path / "bad.txt").write_bytes(b"a b c\n\xff\n")
    there = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", RUN, "train", *args], cwd=tmp_path, env=elsewhere(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert not done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert all(word in last for word in words), last
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def elsewhere() -> dict[str, str]:
    """The environment of a process that runs in another folder and has the same semvec."""
    return {**os.environ, "PYTHONPATH": str(Path(semvec.__file__).parent.parent)}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_nothing(tmp_path: Path, corpus: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", RUN, "train", "word2vec", str(corpus), "-o", str(tmp_path / "m"), "--epochs", "100000"]
    # a run in the background of a shell has SIGINT ignored, and its children would have too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, env=elsewhere(), stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    began = time.monotonic()
    while "gensim" not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() - began < 60:
        time.sleep(0.05)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(how)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert said.strip().splitlines()[-1] == "Error: interrupted; nothing was written"
