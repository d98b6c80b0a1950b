"""Token vectors of a collection: what was written is found, deleted, replaced and told of when damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.maxsim import maxsim
from semvec.errors import CollectionDamaged, FingerprintMismatch, InputError, LevelError, OptionError, StoreError
from semvec.store.collection import Collection, Settings, TokenSettings
from semvec.store.token_collection import TokenCollection
from semvec.store.tokens import MISSING
from semvec.types import Dtype, Level, Metric, Oov

DIM = 16
ROOT = Path(__file__).parents[2]
MADE = Fingerprint("test", "a model", "w" * 64, Level.TOKEN, DIM, Dtype.FLOAT32, Metric.COSINE, False)


def tokens_of(counts: list[int], seed: int = 0, fingerprint: Fingerprint = MADE) -> Embeddings:
    """Tokens of texts "t0 t1 t2 …", two characters each."""
    rng, total = np.random.default_rng(seed), sum(counts)
    start = np.concatenate([np.arange(count) * 3 for count in counts]).astype(np.int32) if counts else np.zeros(0, np.int32)
    return Embeddings(
        vectors=rng.standard_normal((total, DIM)).astype(np.float32),
        level=Level.TOKEN,
        text_index=np.repeat(np.arange(len(counts)), counts),
        start=start,
        end=start + 2,
        surface=np.array(["t"] * total, dtype=object),
        special=np.zeros(total, bool),
        oov=np.zeros(total, np.uint8),
        n_tokens=np.array(counts, np.int32),
        n_truncated=np.zeros(len(counts), np.int32),
        fingerprint=fingerprint,
    )


def opened(place: Path, bits: int = 16) -> TokenCollection:
    collection = Collection.open(place, Settings(DIM, fingerprint=MADE, tokens=TokenSettings(DIM, bits, MADE)))
    assert isinstance(collection, TokenCollection)
    return collection


def write(collection: TokenCollection, names: str, tokens: Embeddings) -> None:
    vectors = np.stack([its.vectors.sum(axis=0) for its in tokens])
    collection.upsert_tokens(list(names), vectors, tokens, [f"text {name}" for name in names], [{"name": name} for name in names])


def found(collection: TokenCollection, query: Embeddings, **options: object) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in collection.search_tokens(query, 10, **options)[0]]  # type: ignore[arg-type]


def oracle(query: Embeddings, held: dict[str, np.ndarray]) -> list[tuple[str, float]]:
    scores = {name: maxsim(query.vectors, its) for name, its in held.items()}
    return [(name, pytest.approx(score, abs=0.01)) for name, score in sorted(scores.items(), key=lambda its: -its[1])]


def test_a_life(tmp_path: Path) -> None:
    query, held = tokens_of([4], seed=99), {}
    with opened(tmp_path / "c") as collection:
        assert found(collection, query) == []
        first = tokens_of([5, 9, 2, 30])
        write(collection, "abcd", first)
        held = {name: first[at].vectors for at, name in enumerate("abcd")}
        assert found(collection, query) == oracle(query, held)
        second = tokens_of([3, 8], seed=1)
        write(collection, "be", second)
        held |= {"b": second[0].vectors, "e": second[1].vectors}
        assert found(collection, query) == oracle(query, held)
        collection.delete(["a"])
        del held["a"]
        assert found(collection, query) == oracle(query, held)
        wanted = {name: its for name, its in held.items() if name in "ce"}
        assert found(collection, query, where="name in ('c', 'e')") == oracle(query, wanted)
        before = collection.info()["tokens"]
        assert before["tokens"] == 5 + 9 + 2 + 30 + 3 + 8
        collection.optimise()
        after = collection.info()["tokens"]
        assert after["tokens"] == 2 + 30 + 3 + 8
        assert after["bytes"] < before["bytes"]
        assert found(collection, query) == oracle(query, held)
        assert not collection.check()
        write(collection, "f", third := tokens_of([6], seed=2))
        held["f"] = third[0].vectors
    with Collection.open(tmp_path / "c") as again:
        assert isinstance(again, TokenCollection)
        assert found(again, query) == oracle(query, held)
        assert not again.check()
        again.optimise()
        assert found(again, query) == oracle(query, held)
        assert [path.name for path in (tmp_path / "c").glob("tokens-*")] == ["tokens-000002"]  # nothing was gone
        again.drop()
    assert not (tmp_path / "c").exists()


def test_what_met_stands_in_the_texts(tmp_path: Path) -> None:
    query, its = tokens_of([3], seed=7), tokens_of([5, 40])
    with opened(tmp_path / "c") as collection:
        write(collection, "ab", its)
        for hit in collection.search_tokens(query, evidence=True)[0]:
            vectors = its["ab".index(hit.id)].vectors
            cosines = query.vectors @ vectors.T
            cosines /= np.linalg.norm(query.vectors, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
            assert [one.start for one in hit.evidence] == (3 * cosines.argmax(axis=1)).tolist()
            assert [one.query_start for one in hit.evidence] == [0, 3, 6]
            assert [one.end - one.start for one in hit.evidence] == [2, 2, 2]
            assert sum(one.score for one in hit.evidence) == pytest.approx(hit.score, abs=1e-5)
        assert collection.search_tokens(query)[0][0].evidence == ()


def test_tokens_without_a_vector_are_left_out(tmp_path: Path) -> None:
    its = tokens_of([4, 3])
    its.oov[1] = Oov.ZERO
    its.special[5] = True
    its.vectors[1] = 0
    with opened(tmp_path / "c") as collection:
        write(collection, "ab", its)
        assert collection.info()["tokens"]["tokens"] == 5
        where = sorted((item.id, span) for item, span, _ in collection.nearest_tokens(its.vectors[0], 100))
        assert where == [("a", (0, 2)), ("a", (6, 8)), ("a", (9, 11)), ("b", (0, 2)), ("b", (6, 8))]
        found = collection.occurrences(lambda text: [(3, 7), (3, 5)])
        assert [(item.id, span) for item, span, _ in found] == [(name, span) for name in "ab" for span in ((3, 7), (3, 5))]
        assert [bool(mean.any()) for _, _, mean in found] == [True, False, True, False]  # no token within (3, 5) has a vector
        assert found[0][2] == pytest.approx(its.vectors[2] / np.linalg.norm(its.vectors[2]), abs=1e-3)


def test_what_does_not_belong_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "c", bits=2) as collection:
        vectors = np.ones((1, DIM))
        with pytest.raises(StoreError, match="upsert_tokens"):
            collection.upsert(["a"], vectors)
        with pytest.raises(InputError, match="tokens of 2 texts for 1 ids"):
            collection.upsert_tokens(["a"], vectors, tokens_of([2, 2]))
        other = replace(MADE, weights="x" * 64)
        with pytest.raises(FingerprintMismatch, match="two encoders"):
            collection.upsert_tokens(["a"], vectors, tokens_of([2], fingerprint=other))
        with pytest.raises(FingerprintMismatch, match="two encoders"):
            collection.search_tokens(tokens_of([2], fingerprint=other))
        with pytest.raises(LevelError, match="level text"):
            collection.search_tokens(replace(tokens_of([2]), level=Level.TEXT))
        nan = tokens_of([2])
        nan.vectors[0, 0] = np.nan
        with pytest.raises(InputError, match="not finite"):
            collection.upsert_tokens(["a"], vectors, nan)
        with pytest.raises(OptionError, match="k must be"):
            collection.search_tokens(tokens_of([2]), candidates=0)
        assert collection.count() == 0
        collection.learn_tokens(tokens_of([200]), 10_000)
        assert collection.info()["tokens"]["bits"] == 16  # too few to learn from for good
        write(collection, "a", tokens_of([3]))
        with pytest.raises(StoreError, match="settled"):
            collection.learn_tokens(tokens_of([200]), 10_000)
    with Collection.open(tmp_path / "plain", Settings(DIM)) as plain, pytest.raises(StoreError, match="no token vectors"):
        plain.search_tokens(tokens_of([2]))
    with pytest.raises(OptionError, match="bits must be"):
        TokenSettings(DIM, 3)


def test_few_tokens_are_kept_exactly_until_there_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semvec.store.tokens.ENOUGH", 300)
    query, first, second = tokens_of([4], seed=5), tokens_of([1]), tokens_of([200, 180], seed=1)
    with opened(tmp_path / "c", bits=4) as collection:
        write(collection, "a", first)
        write(collection, "bc", second)
        held = {"a": first[0].vectors, "b": second[0].vectors, "c": second[1].vectors}
        assert collection.info()["tokens"]["bits"] == 16
        assert found(collection, query) == oracle(query, held)
        collection.optimise()
        told = collection.info()["tokens"]
        assert (told["bits"], told["tokens"]) == (4, 381)
        assert told["centroids"] > 20  # not those of the one token that came first
        assert [name for name, _ in found(collection, query)] == [name for name, _ in oracle(query, held)]
        hits = collection.search_tokens(query, evidence=True)[0]
        assert all(its.end - its.start == 2 for hit in hits for its in hit.evidence)
        assert not collection.check()
        collection.optimise()
        assert [path.name for path in (tmp_path / "c").glob("tokens-*")] == ["tokens-000002"]


def test_items_without_tokens(tmp_path: Path) -> None:
    with opened(tmp_path / "c") as collection:
        collection.upsert_tokens(["x"], np.ones((1, DIM)), tokens_of([0]))
        assert found(collection, tokens_of([2])) == []
        write(collection, "a", tokens_of([3]))
        assert [name for name, _ in found(collection, tokens_of([2]))] == ["a"]
        collection.optimise()
        assert not collection.check()


def test_settings_must_agree(tmp_path: Path) -> None:
    opened(tmp_path / "c", bits=2).close()
    with pytest.raises(OptionError, match="2 bits .* not 4 bits"):
        opened(tmp_path / "c", bits=4)
    with pytest.raises(OptionError, match="not no token vectors"):
        Collection.open(tmp_path / "c", Settings(DIM))
    with pytest.raises(OptionError, match="late interaction works on local"):
        Collection.open("chroma:x#y", Settings(DIM, tokens=TokenSettings(DIM)))


def test_what_was_not_committed_is_written_over(tmp_path: Path) -> None:
    query, its = tokens_of([4], seed=5), tokens_of([6, 6])
    with opened(tmp_path / "c") as collection:
        write(collection, "ab", its)
        before = found(collection, query)
    for path in (tmp_path / "c" / "tokens-000001").glob("*.bin"):
        with open(path, "ab") as stream:
            stream.write(b"half a row of a writer that was killed")
    with opened(tmp_path / "c") as collection:
        assert found(collection, query) == before
        assert not collection.check()
        write(collection, "c", tokens_of([5], seed=6))
        assert len(found(collection, query)) == 3
        assert not collection.check()


def test_damage_is_told(tmp_path: Path) -> None:
    with opened(tmp_path / "c", bits=4) as collection:
        write(collection, "ab", tokens_of([60, 6]))
    folder = tmp_path / "c" / "tokens-000001"
    codes = bytearray((folder / "codes.bin").read_bytes())
    codes[-1] ^= 1
    (folder / "codes.bin").write_bytes(codes)
    with opened(tmp_path / "c", bits=4) as collection:
        assert "the token vectors of 1 items are not what was written; the texts are kept" in collection.check()[0]
    codes[-1] ^= 1
    (folder / "codes.bin").write_bytes(codes)
    spans = (folder / "spans.bin").read_bytes()
    (folder / "spans.bin").write_bytes(bytes(len(spans)))
    with opened(tmp_path / "c", bits=4) as collection:
        assert "of 2 items are not what was written" in collection.check()[0]
        with pytest.raises(CollectionDamaged, match="where tokens stand in a text cannot be read"):
            collection.search_tokens(tokens_of([2]), evidence=True)
    (folder / "spans.bin").write_bytes(spans)
    codec = bytearray((folder / "codec.safetensors").read_bytes())
    codec[-2] ^= 0x40
    (folder / "codec.safetensors").write_bytes(codec)
    with opened(tmp_path / "c", bits=4) as collection:
        assert "codec.safetensors: damaged, it is not what was written" in collection.check()[0]
        with pytest.raises(CollectionDamaged, match="codec.safetensors: damaged"):
            collection.search_tokens(tokens_of([2]))
    codec[-2] ^= 0x40
    (folder / "codec.safetensors").write_bytes(codec)
    (folder / "marks.bin").rename(folder / "away")
    with opened(tmp_path / "c", bits=4) as collection:
        assert collection.check() == [MISSING]
        for work in (collection.optimise, lambda: collection.search_tokens(tokens_of([2]))):
            with pytest.raises(CollectionDamaged, match="are missing; the texts are kept"):
                work()
        collection.delete(["b"])
        with pytest.raises(CollectionDamaged, match="are missing; the texts are kept"):
            collection.optimise()
    (folder / "away").rename(folder / "marks.bin")
    marks = bytearray((folder / "marks.bin").read_bytes())
    (folder / "marks.bin").write_bytes(b"\xff" * len(marks))
    with opened(tmp_path / "c", bits=4) as collection, pytest.raises(CollectionDamaged, match="centroid that is not there"):
        collection.search_tokens(tokens_of([2]))
    (folder / "marks.bin").write_bytes(marks)
    (folder / "codes.bin").write_bytes(codes[:-1])
    with opened(tmp_path / "c", bits=4) as collection, pytest.raises(CollectionDamaged, match="shorter"):
        write(collection, "c", tokens_of([3]))  # what is missing is not filled up
    with opened(tmp_path / "c", bits=4) as collection:
        assert "shorter" in collection.check()[0]
        with pytest.raises(CollectionDamaged, match=r"codes\.bin"):
            collection.search_tokens(tokens_of([2]))
    (folder / "codec.safetensors").write_bytes(b"nothing")
    with opened(tmp_path / "c", bits=4) as collection, pytest.raises(CollectionDamaged, match="codec"):
        collection.search_tokens(tokens_of([2]))


def test_a_reader_goes_on_while_a_writer_puts_others_in_their_place(tmp_path: Path) -> None:
    query = tokens_of([4], seed=5)
    with opened(tmp_path / "c") as writer, opened(tmp_path / "c") as reader:
        write(writer, "ab", tokens_of([6, 6]))
        assert len(found(reader, query)) == 2
        for at in range(3):
            write(writer, "a", tokens_of([5 + at], seed=at))
            writer.optimise()
            assert found(reader, query) == found(writer, query)


WRITER = """
import sys
import numpy as np
from tests.store.test_tokens import opened, tokens_of, write
from pathlib import Path
at = 0
with opened(Path(sys.argv[1]), bits=2) as collection:
    while True:
        at += 1
        write(collection, "abcdefgh"[at % 5 : at % 5 + 3], tokens_of([40, 3 + at % 7, 9], seed=at))
        if at % 6 == 0:
            collection.optimise()
        print(at, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.8])
def test_killed_at_any_moment_it_opens_at_what_was_committed(tmp_path: Path, seconds: float) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "c")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
    with opened(tmp_path / "c", bits=2) as collection:
        assert not collection.check()
        hits = found(collection, tokens_of([4], seed=5), candidates=None)
        assert {name for name, _ in hits} == {item.id for item in collection.scan()}
        write(collection, "z", tokens_of([4]))
        assert not collection.check()
