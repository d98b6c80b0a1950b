"""Late interaction over codes, held against numpy on what the codes stand for."""

from __future__ import annotations

import numpy as np
import pytest

from semvec.embeddings.maxsim import maxsim
from semvec.embeddings.transforms import normalize
from semvec.errors import OptionError
from semvec.index import residual
from semvec.index.multi_vector import MultiVectors
from semvec.index.residual import ResidualCodec, centroid_count

BITS = (1, 2, 4, 16)


def clouds(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors in some groups, as tokens are."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((12, dim))
    return normalize(middles[rng.integers(12, size=count)] + 0.5 * rng.standard_normal((count, dim)))


def made(bits: int, dim: int = 21, counts: tuple[int, ...] = (7, 0, 130, 1, 45, 9)) -> tuple[MultiVectors, list[np.ndarray]]:
    """Items of token vectors in a file with something before and between them, and the vectors that are kept of each."""
    vectors = clouds(400, dim)
    codec = ResidualCodec.learned(vectors, bits, tokens=400)
    marks, codes = codec.encode(vectors)
    first = 5 + np.cumsum([count + 3 for count in counts]) - np.array(counts) - 3
    marks.flags.writeable = codes.flags.writeable = False  # as they are where they are memory-mapped
    held = codec.decode(marks, codes)
    return MultiVectors(codec, marks, codes, first, np.array(counts)), [
        held[at : at + count] for at, count in zip(first, counts, strict=True)
    ]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dim", [3, 8, 21, 64])
def test_what_is_kept_is_near_what_was_given(bits: int, dim: int) -> None:
    vectors = clouds(600, dim)
    codec = ResidualCodec.learned(vectors, bits, tokens=600)
    marks, codes = codec.encode(vectors * 3)  # lengths do not matter
    kept = codec.decode(marks, codes)
    assert codes.shape == (600, codec.width)
    assert codec.width == -(-dim * bits // 8)
    assert np.allclose(np.linalg.norm(kept, axis=1), 1, atol=1e-4)
    cosine = (kept * vectors).sum(axis=1)
    assert cosine.mean() > {1: 0.93, 2: 0.97, 4: 0.995, 16: 0.999999}[bits]
    again = ResidualCodec.learned(vectors, bits, tokens=600)
    assert (again.centroids == codec.centroids).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_codes_are_centroid_and_steps(bits: int) -> None:
    vectors = clouds(300, 10)
    codec = ResidualCodec.learned(vectors, bits, tokens=300)
    marks, codes = codec.encode(vectors)
    for row in range(20):
        near = np.argmin(((codec.centroids - vectors[row]) ** 2).sum(axis=1))
        assert marks[row, 0] == near
        unpacked = np.array([codes[row, d % codec.width] >> (d // codec.width * bits) & (2**bits - 1) for d in range(10)])
        wanted = np.clip(np.rint((vectors[row] - codec.centroids[near]) / codec.steps + (2**bits - 1) / 2), 0, 2**bits - 1)
        assert (unpacked == wanted).all()
        plain = codec.centroids[near] + codec.steps * (unpacked - (2**bits - 1) / 2)
        assert codec.decode(marks, codes)[row] == pytest.approx(plain / np.linalg.norm(plain), abs=1e-4)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("tokens", [1, 20, 70])
@pytest.mark.parametrize("of_bytes", [True, False])
def test_scores_are_those_of_the_oracle(bits: int, tokens: int, of_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "OF_BYTES", of_bytes and residual.OF_BYTES)  # also what processors without VNNI do
    index, held = made(bits)
    query = clouds(tokens, 21, seed=3) * 2
    asked = index.codec.asked(normalize(query))
    scores = index.exact(asked, np.arange(6))
    # the oracle gives what is kept length 1 once more; its scale is rounded
    assert scores == pytest.approx([maxsim(query, its) for its in held], abs=1e-4 * tokens)
    true = [(normalize(query) @ its.T).max(axis=1).sum() if len(its) else 0 for its in held]
    assert scores == pytest.approx(true, abs=1e-4)
    best, cosines = index.matches(asked, 2)
    assert (best == (normalize(query) @ held[2].T).argmax(axis=1)).all()
    assert cosines.sum() == pytest.approx(true[2], abs=1e-4)
    assert index.vectors(4) == pytest.approx(held[4])


def test_the_first_stage_is_the_best_centroid_of_each_item() -> None:
    index, held = made(2)
    query = normalize(clouds(70, 21, seed=5))
    asked = index.codec.asked(query)
    assert asked.near[:, :70] == pytest.approx(index.codec.centroids @ query.T, abs=1e-5)
    near = np.clip((asked.near[:, :70] + 1) * 127.5, 0, 255).astype(np.uint8)
    found = index.approximate(asked)
    for item, (first, count) in enumerate(zip(index.first, index.count, strict=True)):
        its = near[index.marks[first : first + count, 0]]
        assert found[item] == (its.max(axis=0).astype(int).sum() if count else int(127.5 * 70))
    some = np.array([4, 0])
    assert (index.approximate(asked, some) == found[some]).all()


@pytest.mark.parametrize("bits", BITS)
def test_search_ranks_by_the_scores(bits: int) -> None:
    index, held = made(bits)
    query = clouds(5, 21, seed=9)
    true = np.array([(query @ its.T).max(axis=1).sum() if len(its) else 0 for its in held])
    for candidates in (None, 6, 100):
        items, scores = index.search(query, 4, candidates=candidates)
        assert items.tolist() == np.argsort(-true, kind="stable")[:4].tolist()
        assert scores == pytest.approx(np.sort(true)[::-1][:4], abs=1e-4)
    items, _ = index.search(query, 2, items=np.array([0, 1, 3]), candidates=None)
    assert set(items.tolist()) <= {0, 1, 3}
    few, _ = index.search(query, 1, candidates=2)
    about = index.approximate(index.codec.asked(query))
    assert few[0] in np.argsort(-about, kind="stable")[:2]


def test_equal_items_come_in_their_order() -> None:
    vectors = np.tile(clouds(4, 8), (5, 1))
    codec = ResidualCodec.learned(vectors, 4, tokens=20)
    marks, codes = codec.encode(vectors)
    index = MultiVectors(codec, marks, codes, np.arange(5) * 4, np.full(5, 4))
    items, _ = index.search(vectors[:2], 5, candidates=None)
    assert items.tolist() == [0, 1, 2, 3, 4]


def test_the_nearest_tokens_of_all() -> None:
    index, held = made(4)
    vector = clouds(1, 21, seed=11)[0]
    cosines = np.concatenate(held) @ vector
    owner = np.repeat(np.arange(6), index.count)
    for k in (1, 10, 500):
        found = index.nearest(vector, np.arange(6), k)
        assert [score for _, _, score in found] == pytest.approx(np.sort(cosines)[::-1][:k], abs=1e-4)
        for item, token, score in found[:5]:
            assert held[item][token] @ vector == pytest.approx(score, abs=1e-4)
    assert {item for item, _, _ in index.nearest(vector, np.array([4]), 5)} == {4}
    assert owner.size == 192


def test_a_dimension_that_never_varies_costs_nothing() -> None:
    vectors = clouds(200, 8)
    vectors[:, 3] = 1e-39
    codec = ResidualCodec.learned(vectors, 2, tokens=200)
    marks, codes = codec.encode(vectors)
    assert np.isfinite(codec.decode(marks, codes)).all()
    steps = codec.asked(vectors[:2]).steps
    assert not ((np.abs(steps) > 0) & (np.abs(steps) < 1e-30)).any()


def test_bits_and_centroids() -> None:
    with pytest.raises(OptionError, match="bits must be 1, 2, 4 or 16"):
        ResidualCodec.learned(clouds(10, 4), 3, tokens=10)
    assert centroid_count(1_000_000, 1 << 17) == 4096
    assert centroid_count(1_000_000, 1000) == 250
    assert centroid_count(0, 0) == 1
