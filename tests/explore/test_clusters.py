"""Groups and near duplicates: found where they were put."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, ModelError, OptionError
from semvec.explore.clusters import clusters, named
from semvec.explore.duplicates import Reason, near_duplicates
from semvec.explore.maps import MapPlan, draft, make_map
from semvec.explore.points import From, Points, points_of
from semvec.types import Level, Metric
from semvec.visualise.options import MapOptions, Method
from tests.visualise.clouds import clouds

TOPICS = ("river bank", "money market", "football match", "winter snow", "garden flower")


def points(count: int = 300, seed: int = 0) -> tuple[Points, np.ndarray]:
    vectors, groups = clouds(count, seed=seed)
    texts = [f"the {TOPICS[group]} of number {at}" for at, group in enumerate(groups)]
    return Points(vectors, Metric.COSINE, [str(at) for at in range(count)], texts), groups


@pytest.mark.parametrize("how", [{"how": "kmeans", "count": 5}, {"how": "hdbscan", "least": 15}])
def test_groups_are_found_named_and_told_again(how: dict[str, object]) -> None:
    its, groups = points()
    found = clusters(its, **how)  # type: ignore[arg-type]
    assert adjusted_rand_score(groups, found.numbers) == 1
    sizes = [one.size for one in found.clusters]
    assert sizes == sorted(np.bincount(groups).tolist(), reverse=True)
    for one in found.clusters:
        assert one.name.startswith(TOPICS[groups[one.typical[0]]])
        rows = np.flatnonzero(found.numbers == one.number)
        unit = its.vectors / np.linalg.norm(its.vectors, axis=1, keepdims=True)
        middle = unit[rows].mean(axis=0)
        scores = unit[rows] @ middle / np.linalg.norm(middle)
        assert found.scores[rows] == pytest.approx(scores, abs=1e-5)
        assert one.typical[0] == rows[scores.argmax()]
    again = clusters(its, **how)  # type: ignore[arg-type]
    assert (again.numbers == found.numbers).all()


def test_hdbscan_leaves_out_what_is_in_no_group() -> None:
    vectors, _ = clouds(200, groups=3, dim=4)
    far = np.array([[90, -90, 5, 5], [-90, 90, -5, 5], [90, 90, -90, 0]], dtype=np.float32)
    texts = [f"text {at}" for at in range(203)]
    its = Points(np.concatenate([vectors, far]), Metric.EUCLIDEAN, texts, texts)
    found = clusters(its, "hdbscan", least=20)  # four dimensions are few enough without UMAP
    assert len(found.clusters) == 3
    assert (found.numbers[200:] == -1).all()
    assert found.names()[200:] == [None] * 3
    assert not found.scores[200:].any()


def test_names_are_phrases_of_the_group_and_different() -> None:
    made = named(
        [["the river bank is wet", "a river bank"], ["the bank pays money", "money of the bank"], ["zzz"], ["zzz"], [""]]
    )
    assert made[0] == "river bank · wet"
    assert made[1].startswith("money")
    assert made[2] == "zzz"
    assert len(set(made)) == 5


def test_groups_that_cannot_be() -> None:
    its, _ = points(40)
    for wrong in ({"count": 0}, {"count": 41}, {"how": "hdbscan", "least": 1}, {"how": "hdbscan", "least": 41}, {"how": "kmean"}):
        with pytest.raises(OptionError):
            clusters(its, **wrong)  # type: ignore[arg-type]
    few = Points(its.vectors[:3], Metric.COSINE, ["a", "b", "c"], ["x", "y", "z"])
    assert sum(one.size for one in clusters(few).clusters) == 3


def test_near_duplicates_are_those_of_what_stays() -> None:
    rng = np.random.default_rng(1)
    base = rng.standard_normal((2000, 8)).astype(np.float32)
    texts = [f"text {at}" for at in range(2000)]
    vectors = base.copy()
    vectors[1500] = base[3] + 0.01  # across blocks
    vectors[4] = base[3] * 7  # within one
    texts[10], texts[1200] = "Café,  au lait!", "cafe\u0301, au LAIT"
    texts[11] = texts[9]
    texts[20], texts[21] = "a $1 charge", "a €1 charge"  # not the same
    texts[30], texts[31], texts[32], texts[33] = "C#", "C", "-5 degrees", "5 degrees"
    found = {its.row: its for its in near_duplicates(Points(vectors, Metric.COSINE, texts, texts), 0.99)}
    assert (found[11].kept, found[11].reason) == (9, Reason.SAME)
    assert (found[1200].kept, found[1200].reason) == (10, Reason.FOLDED)
    assert (found[4].kept, found[4].reason, round(found[4].score, 5)) == (3, Reason.SIMILAR, 1)
    assert found[1500].kept == 3
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kept: list[int] = []  # by hand: a text goes if it is near to one that stays
    for row in range(2000):
        if row in (11, 1200) or (kept and float((unit[kept] @ unit[row]).max()) >= 0.99):
            assert row in found
            assert found[row].score == pytest.approx(float(unit[found[row].kept] @ unit[row]), abs=1e-5)
            assert found[row].kept in kept
        else:
            kept.append(row)
            assert row not in found
    for wrong in (0, 1.5, float("nan")):
        with pytest.raises(OptionError):
            list(near_duplicates(Points(vectors, Metric.COSINE, texts, texts), wrong))


def test_a_map_of_points() -> None:
    its, _ = points()
    made = make_map(its, MapPlan(MapOptions(Method.PCA), groups=5))
    assert made.clusters is not None
    assert made.map.colour == made.map.named == "cluster"
    assert len(made.map.columns["cluster"].values) == 5
    assert draft(its, MapPlan(), "x") is None
    with pytest.raises(OptionError, match="no column 'clusterr'.*did you mean 'cluster'"):
        make_map(its, MapPlan(colour="clusterr"))
    with pytest.raises(InputError, match="3 points are too few"):
        make_map(its.at([0, 1, 2]))


def test_two_views_are_of_the_same_points_and_lie_over_each_other() -> None:
    one, groups = points()
    other = Points(np.random.default_rng(0).permutation(np.eye(16))[None, 0] + one.vectors[::-1] * 2, Metric.COSINE,
                   [*one.ids[::-1][:-5], *"abcde"], one.texts[::-1])  # fmt: skip
    made = make_map(one, MapPlan(groups=0), name="one", beside=("other", other))
    first, second = made.map.views
    assert list(made.map.ids) == list(one.ids[5:])
    assert len(first.points) == len(second.points) == 295
    apart = (
        np.linalg.norm(first.points - second.points, axis=1).mean()
        / np.linalg.norm(first.points - first.points.mean(0), axis=1).mean()
    )
    assert apart < 0.5
    with pytest.raises(InputError, match="only 0 ids are in both"):
        make_map(one, beside=("other", Points(one.vectors, Metric.COSINE, [f"x{at}" for at in range(300)], one.texts)))


def test_many_points_have_a_first_picture() -> None:
    rng = np.random.default_rng(0)
    names = [str(at) for at in range(20_000)]
    its = Points(rng.standard_normal((20_000, 8)).astype(np.float32), Metric.COSINE, names, names)
    first = draft(its, MapPlan(groups=0), "Map")
    assert first is not None
    assert len(first) == 5000
    assert first.title == "Map (a first picture, 5,000 of 20,000 points)"


def test_points_of_texts_words_and_files(tmp_path: Path, word: WordEncoder, glove_file: Path) -> None:
    import semvec

    (tmp_path / "t.csv").write_text("id,text,lang\na,the bank of the river,en\nb,zyxxy,xx\nc,Paris,fr\n")
    its = points_of([str(tmp_path / "t.csv")], From(str(glove_file)))
    assert (list(its.ids), its.left_out, its.columns["lang"]) == (["a", "c"], 1, ["en", "fr"])
    assert its.vectors == pytest.approx(word.encode(["the bank of the river", "Paris"]).floats())
    words = points_of([str(tmp_path / "t.csv")], From(str(glove_file), level=Level.WORD))
    assert words.ids[1] == "a:4-8"
    assert words.texts[1] == "the [bank] of the river"
    assert words.columns["piece"][1] == "bank"
    semvec.encode_files([tmp_path / "t.csv"], tmp_path / "v.parquet", word)
    again = points_of([str(tmp_path / "v.parquet")])
    assert list(again.ids) == ["a", "c"]
    assert again.vectors == pytest.approx(its.vectors)
    frequent = points_of([str(glove_file)], From(words=3))
    assert list(frequent.ids) == [str(its) for its in list(word.table.words)[:3]]
    places = points_of([str(tmp_path / "t.csv")], From(str(glove_file), word="bank"))
    assert list(places.texts) == ["the [bank] of the river"]
    for inputs, wrong in (("v.parquet", From("minilm")), ("v.parquet", From(words=3)), ("v.parquet", From(level=Level.WORD))):
        with pytest.raises((OptionError, ModelError)):
            points_of([str(tmp_path / inputs)], wrong)
    with pytest.raises(InputError, match="'nowhere' is not there"):
        points_of([str(tmp_path / "t.csv")], From(str(glove_file), word="nowhere"))
    (tmp_path / "z.txt").write_text("zyxxy\n")
    with pytest.raises(InputError, match="nothing there that has a vector"):
        points_of([str(tmp_path / "z.txt")], From(str(glove_file)))
