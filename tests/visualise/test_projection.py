"""Maps: the same for a seed, true to what they are made of, and never moved by what is put on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.geometry import trustworthiness
from semvec.embeddings.transforms import normalize
from semvec.errors import FingerprintMismatch, FormatError, InputError, OptionError
from semvec.types import Dtype, Level, Metric, Step
from semvec.visualise.align import onto
from semvec.visualise.near import near
from semvec.visualise.options import MapOptions, Method
from semvec.visualise.projection import Projection
from tests.visualise.clouds import clouds


def made_by(weights: str) -> Fingerprint:
    return Fingerprint("sentence", "m", weights, Level.TEXT, 16, Dtype.FLOAT32, Metric.COSINE, False)


def nearest_group(places: np.ndarray, others: np.ndarray, groups: np.ndarray) -> np.ndarray:
    return groups[cdist(places, others).argmin(axis=1)]


def test_neighbours_are_numpys() -> None:
    vectors = normalize(clouds()[0])
    distances = cdist(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    found = near(vectors, 7)
    assert (found.rows == np.argsort(distances, axis=1)[:, :7]).all()
    assert found.distances == pytest.approx(np.sort(distances, axis=1)[:, :7], abs=1e-6)
    plain = clouds()[0]
    assert (near(plain, 3, new=plain[:9]).rows[:, 0] == np.arange(9)).all()
    same = np.ones((6, 16), dtype=np.float32)
    assert all(row not in its for row, its in enumerate(near(same, 3).rows.tolist()))


@pytest.mark.parametrize("method", list(Method))
def test_a_seed_gives_the_same_map_and_groups_stay_together(method: Method) -> None:
    vectors, groups = clouds()
    options = MapOptions(method, perplexity=12)
    made = Projection.fit(vectors, options)
    again = Projection.fit(vectors, options)
    assert (made.points == again.points).all()
    assert made.points.shape == (200, 2)
    assert np.isfinite(made.points).all()
    if method != Method.PCA:  # five groups in two directions lie over each other
        assert trustworthiness(vectors, made.points, 10, metric=Metric.COSINE).mean() > 0.9
        apart = cdist(made.points, made.points)
        np.fill_diagonal(apart, np.inf)
        assert (groups[apart.argmin(axis=1)] == groups).all()


@pytest.mark.parametrize("method", list(Method))
def test_new_points_move_no_old_ones(tmp_path: Path, method: Method) -> None:
    vectors, groups = clouds()
    ids = [f"old {at}" for at in range(200)]
    made = Projection.fit(vectors, MapOptions(method, perplexity=12), fingerprint=made_by("w"), ids=ids)
    before = made.points.copy()
    made.save(tmp_path / "map.safetensors")
    kept = Projection.load(tmp_path / "map.safetensors")
    assert (kept.options, kept.metric, kept.fingerprint, kept.ids) == (made.options, made.metric, made.fingerprint, tuple(ids))
    new, its = clouds(50, seed=1)
    placed = kept.transform(new, fingerprint=made_by("w"))
    assert (kept.points == before).all()
    assert (placed == made.transform(new)).all()
    if method != Method.PCA:
        assert (nearest_group(placed, kept.points, groups) == its).mean() == 1
    both = np.concatenate([new[:25], vectors, new[25:]])
    names = [*(f"new {at}" for at in range(25)), *ids, *(f"new {at}" for at in range(25, 50))]
    found = kept.transform(both, ids=names)
    assert (found[25:225] == before).all()
    assert (kept.transform(both)[25:225] == before).all()  # by the vectors alone
    twice = Projection.fit(np.concatenate([vectors, vectors[:3]]), MapOptions(method, perplexity=12))
    assert (twice.transform(np.concatenate([vectors, vectors[:3]])) == twice.points).all()
    if method != Method.TSNE:  # a grid over all of them there
        assert kept.transform(new[:1]) == pytest.approx(placed[:1], abs=1e-4)
    changed = kept.transform(new[:1], ids=["old 0"])  # the id is the same, what it stands for is not
    assert (changed != before[0]).any()
    with pytest.raises(FingerprintMismatch):
        kept.transform(new, fingerprint=made_by("other"))
    with pytest.raises(InputError, match="8 dimensions on a map of vectors of 16"):
        kept.transform(new[:, :8])


def test_pca_is_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    vectors = clouds()[0]
    made = Projection.fit(vectors, MapOptions(Method.PCA), metric=Metric.EUCLIDEAN)
    theirs = PCA(2).fit_transform(vectors)
    assert np.abs(made.points) == pytest.approx(np.abs(theirs), abs=1e-4)
    assert made.transform(vectors[:9]) == pytest.approx(made.points[:9], abs=1e-5)


def test_umap_places_new_points_among_their_own() -> None:
    from umap import UMAP

    vectors, groups = clouds(400)
    new, its = clouds(60, seed=2)
    theirs = UMAP(n_neighbors=15, metric="cosine", random_state=0, n_jobs=1).fit(vectors)
    mine = Projection.fit(vectors, MapOptions(neighbours=15))
    assert (nearest_group(theirs.transform(new), theirs.embedding_, groups) == its).all()
    assert (nearest_group(mine.transform(new), mine.points, groups) == its).all()
    spread = cdist(mine.transform(new), mine.points).min(axis=1).max() / np.ptp(mine.points)
    assert spread < 0.1  # each stands among its neighbours


def test_few_points_and_equal_ones() -> None:
    vectors = clouds(7)[0]
    made = Projection.fit(vectors, MapOptions(neighbours=50))
    assert made.options.neighbours == 6
    assert np.isfinite(made.points).all()
    assert np.isfinite(Projection.fit(vectors, MapOptions(Method.TSNE)).points).all()
    with pytest.raises(InputError, match="too few for pacmap: method umap"):
        Projection.fit(vectors[:4], MapOptions(Method.PACMAP))
    twice = np.concatenate([vectors, vectors, vectors])
    assert np.isfinite(Projection.fit(twice).points).all()
    line = np.arange(12, dtype=np.float32)[:, None]
    assert np.isfinite(Projection.fit(line, metric=Metric.EUCLIDEAN).points).all()
    with pytest.raises(InputError, match="3 points are too few"):
        Projection.fit(vectors[:3])
    with pytest.raises(InputError, match="all 9 vectors are the same"):
        Projection.fit(np.ones((9, 4), dtype=np.float32))
    vectors[3, 2] = np.nan
    with pytest.raises(InputError, match="row 3 holds a number that is not finite"):
        Projection.fit(vectors)


def test_options_that_are_none() -> None:
    for wrong in (
        {"neighbours": 1},
        {"min_dist": -1},
        {"min_dist": float("nan")},
        {"perplexity": 0},
        {"perplexity": float("nan")},
        {"seed": -1},
    ):
        with pytest.raises(OptionError):
            MapOptions(**wrong)  # type: ignore[arg-type]


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"none")
    with pytest.raises(FormatError, match="cannot be read as a map"):
        Projection.load(tmp_path / "x.safetensors")
    with pytest.raises(FormatError, match="cannot be read as a map"):
        Projection.load(tmp_path / "nowhere.safetensors")
    Projection.fit(clouds()[0], MapOptions(Method.PCA)).save(tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(whole[:-100])
    with pytest.raises(FormatError):
        Projection.load(tmp_path / "m.safetensors")


def test_progress_is_told() -> None:
    seen: list[Step] = []
    Projection.fit(clouds()[0], progress=seen.append)
    assert {step.stage for step in seen} == {"neighbours", "layout"}
    assert (seen[-1].done, seen[-1].total) == (500, 500)


def test_a_map_is_laid_over_another() -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((40, 2)).astype(np.float32)
    turn = np.array([[np.cos(2), np.sin(2)], [np.sin(2), -np.cos(2)]])  # turned and mirrored
    other = points @ turn * 3 + [5, -7]
    assert onto(points, other.astype(np.float32)) == pytest.approx(other, abs=1e-4)
