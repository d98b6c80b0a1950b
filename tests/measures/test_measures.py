"""Every measure against the library that people trust for it, on random input."""

from __future__ import annotations

import numpy as np
import pytest

from semvec.embeddings import geometry
from semvec.errors import InputError, OptionError
from semvec.evaluate import ranking
from semvec.measures import basic as measures
from semvec.measures.intervals import NO_DIFFERENCE, Outcome, bootstrap, differences
from semvec.measures.spans import span_counts, span_f1
from semvec.text.tagged import entities
from semvec.types import Metric


def test_pearson_is_scipys() -> None:
    from scipy.stats import pearsonr

    rng = np.random.default_rng(0)
    for n in (2, 7, 400):
        one, two = rng.standard_normal(n) * 1e-3, rng.standard_normal(n) * 1e6
        assert measures.pearson(one, two) == pytest.approx(pearsonr(one, two).statistic)
    with pytest.raises(InputError, match="all equal"):
        measures.pearson(np.ones(4), np.arange(4))
    for scale in (1e200, 1e-200):
        assert measures.pearson(np.array([1.0, 2, 3]) * scale, np.array([1, 2, 3])) == pytest.approx(1)


def test_classification_measures_are_scikit_learns() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(1)
    for n, labels in ((1, 1), (5, 3), (300, 2), (300, 20)):
        gold, said = rng.integers(0, labels, n), rng.integers(0, labels, n)
        assert measures.accuracy(gold, said) == pytest.approx(metrics.accuracy_score(gold, said))
        assert measures.macro_f1(gold, said) == pytest.approx(metrics.f1_score(gold, said, average="macro", zero_division=0))
        true, yes = gold == 0, said == 0
        expected = metrics.precision_recall_fscore_support(true, yes, average="binary", zero_division=0)[:3]
        assert measures.precision_recall_f1(true, yes) == pytest.approx(expected)
        assert measures.f1(true, yes) == pytest.approx(expected[2])
        scores = np.round(rng.random(n), 1)
        if true.any():
            assert measures.average_precision(true, scores) == pytest.approx(metrics.average_precision_score(true, scores))
    with pytest.raises(InputError, match="no row is true"):
        measures.average_precision(np.zeros(3, bool), np.arange(3.0))
    with pytest.raises(InputError, match="2 numbers cannot be compared with 3"):
        measures.accuracy(np.zeros(2), np.zeros(3))


def test_v_measure_is_scikit_learns() -> None:
    from sklearn.metrics import v_measure_score

    rng = np.random.default_rng(2)
    for n, k, c in ((1, 1, 1), (50, 1, 5), (50, 5, 1), (500, 7, 9), (40, 40, 40)):
        gold, said = rng.integers(0, k, n), rng.integers(0, c, n)
        assert measures.v_measure(gold, said) == pytest.approx(v_measure_score(gold, said), abs=1e-12)
    assert measures.v_measure(np.array([0, 0, 1]), np.array([5, 5, 3])) == pytest.approx(1)


def test_no_threshold_is_better_than_the_best() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 9, 60):
        for _ in range(20):
            gold, scores = rng.random(n) < 0.5, np.round(rng.random(n), 1)
            right = ((scores >= measures.best_threshold(gold, scores)) == gold).mean()
            assert right == pytest.approx(max(((scores >= at) == gold).mean() for at in [-1, *scores, 2]))


def test_rankings_are_measured_as_trec_eval_does() -> None:
    import ir_measures

    rng = np.random.default_rng(4)
    documents = [f"d{at}" for at in range(40)]
    qrels = {f"q{at}": {name: int(rng.integers(0, 4)) for name in rng.choice(documents, 12, replace=False)} for at in range(25)}
    for judged in qrels.values():
        judged[next(iter(judged))] = 2
    run = {
        query: {name: float(np.round(rng.random(), 1)) for name in rng.choice(documents, int(rng.integers(1, 40)), replace=False)}
        for query in list(qrels)[:22]
    }  # three queries found nothing, and many scores are equal
    for name in ("nDCG@10", "nDCG@3", "nDCG", "RR", "AP", "AP@10", "R@5", "R@100", "P@5", "P@10"):
        wanted = ir_measures.parse_measure(name)
        expected = {one.query_id: one.value for one in ir_measures.iter_calc([wanted], qrels, run)}
        mine = ranking.RankMeasure.named(name).values(qrels, run)
        assert mine == pytest.approx([expected.get(query, 0.0) for query in qrels]), name
    assert ranking.RankMeasure.named("RR@1").values({"q": {"a": 1}}, {"q": {"a": 1.0, "b": 1.0}}).tolist() == [0]  # b first
    for name in ("ndcg@10", "nDCG@0", "nDCG@x", "P", "P@00", "MRR", "nDCG@²", "nDCG@", "R@"):
        with pytest.raises(OptionError, match="no measure"):
            ranking.RankMeasure.named(name)
    with pytest.raises(InputError, match="no relevant"):
        ranking.RankMeasure.named("AP").values({"q": {"a": 0}}, {})


def test_span_f1_is_seqevals() -> None:
    from seqeval.metrics import f1_score
    from seqeval.metrics.sequence_labeling import get_entities

    rng = np.random.default_rng(5)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG"]
    gold, said = ([[str(rng.choice(tags)) for _ in range(int(n))] for n in rng.integers(1, 12, 300)] for _ in range(2))
    said = [[str(rng.choice([a, rng.choice(tags)])) for a in its] for its in gold]
    for its in gold + said:
        assert [(e.kind, e.start, e.end - 1) for e in entities(its)] == get_entities(its)
    assert span_f1(span_counts(gold, said)) == pytest.approx(f1_score(gold, said))
    assert entities(["S-A", "B-A", "E-A", "I-B"]) == [("A", 0, 1), ("A", 1, 3), ("B", 3, 4)]
    assert span_f1(span_counts([["O"]], [["O"]])) == 0


def test_trustworthiness_is_scikit_learns() -> None:
    from sklearn.manifold import trustworthiness

    rng = np.random.default_rng(6)
    high, low = rng.standard_normal((120, 20)).astype(np.float32), rng.standard_normal((120, 2)).astype(np.float32)
    low[:60] = high[:60, :2]
    for k in (1, 5, 20):
        assert geometry.trustworthiness(high, low, k).mean() == pytest.approx(trustworthiness(high, low, n_neighbors=k))
        assert geometry.continuity(high, low, k).mean() == pytest.approx(trustworthiness(low, high, n_neighbors=k))
        expected = trustworthiness(high, low, n_neighbors=k, metric="cosine")
        # maps are euclidean, originals by cosine: as scikit-learn has it too
        whole = geometry.trustworthiness(high, low, k, metric=Metric.COSINE)
        assert whole.mean() == pytest.approx(expected)
        some = np.array([3, 50, 119])
        assert geometry.trustworthiness(high, low, k, metric=Metric.COSINE, of=some) == pytest.approx(whole[some])
    assert (geometry.trustworthiness(high, high, 5) == 1).all()
    far = low.astype(np.float64) * 1e-3 + 1000  # near points far from 0, which float32 products cannot tell apart
    assert geometry.trustworthiness(high, far, 5).mean() == pytest.approx(trustworthiness(high, far, n_neighbors=5))
    same = np.zeros((30, 2), dtype=np.float32)
    assert geometry.neighbours(same, 3, Metric.EUCLIDEAN).shape == (30, 3)
    assert all(row not in its for row, its in enumerate(geometry.neighbours(same, 3, Metric.EUCLIDEAN).tolist()))
    with pytest.raises(OptionError, match="more than twice"):
        geometry.trustworthiness(high, low, 60)
    with pytest.raises(InputError, match="same things"):
        geometry.continuity(high, low[:9], 5)


def test_neighbours_shared_by_two_clouds() -> None:
    rng = np.random.default_rng(7)
    one, two = rng.standard_normal((50, 8)).astype(np.float32), rng.standard_normal((50, 3)).astype(np.float32)
    found = geometry.knn_overlap(one, two, 6, metrics=(Metric.COSINE, Metric.EUCLIDEAN))
    unit = one / np.linalg.norm(one, axis=1, keepdims=True)
    cosine, distance = unit @ unit.T, -np.linalg.norm(two[:, None] - two[None], axis=2)
    for scores in (cosine, distance):
        np.fill_diagonal(scores, -np.inf)
    expected = [len(set(np.argsort(-a)[:6]) & set(np.argsort(-b)[:6])) / 6 for a, b in zip(cosine, distance, strict=True)]
    assert found == pytest.approx(expected)
    assert (geometry.knn_overlap(one, one * 3, 6, metrics=(Metric.COSINE, Metric.COSINE)) == 1).all()
    with pytest.raises(OptionError, match="between 1 and 49"):
        geometry.knn_overlap(one, two, 50, metrics=(Metric.COSINE, Metric.COSINE))


def test_uniformity_and_alignment_by_their_formulas() -> None:
    from scipy.spatial.distance import pdist

    rng = np.random.default_rng(8)
    one, two = (rng.standard_normal((70, 9)).astype(np.float32) for _ in range(2))
    unit, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, two))
    assert geometry.uniformity(one) == pytest.approx(np.log(np.exp(-2 * pdist(unit) ** 2).mean()), abs=1e-5)
    assert geometry.uniformity(one, t=1) == pytest.approx(np.log(np.exp(-(pdist(unit) ** 2)).mean()), abs=1e-5)
    assert geometry.alignment(one, two) == pytest.approx((np.linalg.norm(unit - other, axis=1) ** 2).mean(), abs=1e-5)
    assert geometry.alignment(one, two, alpha=1) == pytest.approx(np.linalg.norm(unit - other, axis=1).mean(), abs=1e-5)
    with pytest.raises(InputError, match="no pairs"):
        geometry.uniformity(one[:1])
    with pytest.raises(InputError, match="zeros has no place"):
        geometry.uniformity(one * (np.arange(70) > 0)[:, None])
    assert geometry.uniformity(np.array([[1, 0], [-1, 0]], np.float32), t=10) == pytest.approx(-40)
    with pytest.raises(InputError, match="no pairs"):
        geometry.alignment(one, two[:3])


def test_intervals_of_every_kind_hold_the_truth() -> None:
    """95 % of the intervals must; of 200 at least 180 (a chance of 1 in 400 for fewer than 182)."""
    rng, held = np.random.default_rng(9), {"mean": 0, "spearman": 0, "macro F1": 0}
    cov = np.array([[1, 0.6], [0.6, 1]])
    true_spearman = 6 / np.pi * np.arcsin(0.3)
    for seed in range(200):
        few = (rng.random(60) < 0.7).astype(float)
        pairs = rng.multivariate_normal([0, 0], cov, 80)
        gold = rng.integers(0, 2, 100)
        said = np.where(rng.random(100) < 0.8, gold, 1 - gold)
        for name, truth, found in (
            ("mean", 0.7, bootstrap(measures.mean, few, seed=seed, resamples=200)),
            ("spearman", true_spearman, bootstrap(measures.spearman, pairs[:, 0], pairs[:, 1], seed=seed, resamples=200)),
            ("macro F1", 0.8, bootstrap(measures.macro_f1, gold, said, seed=seed, resamples=200)),
        ):
            held[name] += found.low <= truth <= found.high
    assert all(180 <= count <= 200 for count in held.values()), held


def test_an_interval_is_around_its_value_even_where_doubles_help() -> None:
    rng = np.random.default_rng(10)
    gold = rng.integers(0, 40, 400)
    said = np.where(rng.random(400) < 0.5, gold, rng.integers(0, 40, 400))
    found = bootstrap(measures.v_measure, gold, said)
    assert found.low < found.value < found.high


def test_a_difference_is_shown_where_there_is_one_and_seldom_else() -> None:
    """At 5 % no more than 10 of 100 may be shown by chance (odds 1 in 90), of any size and kind."""
    rng = np.random.default_rng(11)
    for n, of in ((6, "mean"), (20, "mean"), (150, "mean"), (150, "spearman")):
        shown = missed = 0
        for seed in range(100):
            hard = rng.random(n)
            same, worse = [], None
            if of == "mean":
                same = [Outcome.over_all("accuracy", measures.mean, (rng.random(n) > hard * 0.5).astype(float)) for _ in range(2)]
                worse = Outcome.over_all("accuracy", measures.mean, (rng.random(n) > 0.5 + hard * 0.5).astype(float))
            else:
                same = [
                    Outcome.over_all("r", measures.spearman, hard + rng.normal(0, 0.2, n), hard, range=(-1, 1)) for _ in range(2)
                ]
                worse = Outcome.over_all("r", measures.spearman, rng.random(n), hard, range=(-1, 1))
            shown += differences({"a": same[0], "b": same[1]}, seed=seed, resamples=200)[0].shown
            found = differences({"a": same[0], "c": worse}, seed=seed, resamples=200)[0]
            missed += not (found.one == "a" and found.shown)
            assert found.by is not None
            assert found.by.value == pytest.approx(abs(same[0].value - worse.value))
            assert -2 <= found.by.low <= found.by.value <= found.by.high <= 2
        assert shown <= 10, (n, of, shown)
        assert missed <= 2 or n < 150, (n, of, missed)


def test_few_examples_show_nothing() -> None:
    """Worked by hand: all right against all wrong on 4 examples has p = 2 / 2⁴ by changing signs."""
    right, wrong = (Outcome.over_all("accuracy", measures.mean, np.full(4, one)) for one in (1.0, 0.0))
    found = differences({"a": right, "b": wrong})[0]
    assert (found.p, found.shown) == (pytest.approx(2 / 16), False)
    assert str(found) == f"a over b: +1.000 [+1.000, +1.000], p = 0.125: {NO_DIFFERENCE}"
    ranks = np.arange(10.0)
    one, other = (Outcome.over_all("r", measures.spearman, ranks, its, range=(-1, 1)) for its in (ranks, ranks[::-1]))
    found = differences({"a": one, "b": other})[0]
    assert (found.by, found.p, found.shown) == (None, None, False)
    assert str(found) == "a and b: 10 examples are too few to compare them"


def test_models_are_compared_on_what_both_did() -> None:
    gold = np.arange(60.0)
    all_of_it = Outcome.over_all("spearman", measures.spearman, gold, gold, range=(-1, 1))
    part = Outcome("spearman", measures.spearman, (gold[::2], gold[::2][::-1]), np.arange(0, 60, 2), range=(-1, 1))
    found = differences({"part": part, "all": all_of_it}, resamples=100)[0]
    assert (found.one, found.other, found.examples) == ("all", "part", 30)
    assert found.by is not None
    assert found.by.value == pytest.approx(2)
    assert found.shown
    evens, odds = (Outcome("s", measures.spearman, (gold[at::2], gold[at::2]), np.arange(at, 60, 2)) for at in (0, 1))
    assert differences({"evens": evens, "odds": odds})[0].p is None
    same = differences({"a": all_of_it, "b": all_of_it}, resamples=100)[0]
    assert (same.p, same.shown) == (1, False)


def test_examples_that_share_something_are_drawn_together() -> None:
    """Ten questions with 40 answers each that are all right or all wrong are ten examples, not 400."""
    right = np.repeat([1.0, 0.0] * 5, 40)
    groups = np.repeat(np.arange(10), 40)
    alone = Outcome.over_all("accuracy", measures.mean, right).interval()
    together = Outcome.over_all("accuracy", measures.mean, right, groups=groups).interval()
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 0.5 / 20, abs=0.005)
    assert together.high - together.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(10), abs=0.06)
    other = Outcome.over_all("accuracy", measures.mean, np.repeat([0.0, 0.0, *[1.0, 0.0] * 4], 40), groups=groups)
    found = differences({"a": Outcome.over_all("accuracy", measures.mean, right, groups=groups), "b": other})[0]
    assert (found.examples, found.p) == (10, 1)  # one question differs


def test_shares_near_the_ends_keep_inside_and_cover() -> None:
    from scipy.stats import binomtest

    for right, n in ((49, 50), (100, 100), (0, 7), (3, 200)):
        found = Outcome.over_all("accuracy", measures.mean, np.arange(n) < right).interval()
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert 0 <= found.low <= found.value <= found.high <= 1
    few = np.array([True, False, False])
    assert Outcome.over_all("F1", measures.f1, few, few).interval().high == 1
    rng, held = np.random.default_rng(13), 0
    for _ in range(400):
        found = Outcome.over_all("accuracy", measures.mean, rng.random(100) < 0.98).interval()
        held += found.low <= 0.98 <= found.high
    assert held >= 366  # 95 % of 400 is 380, three deviations are 13


def test_halves_tell_how_a_refitted_value_varies() -> None:
    """The deviation of values from halves is that of the whole: tried on a mean, where it is known."""
    rng, found = np.random.default_rng(14), []
    for _ in range(200):
        rows = rng.standard_normal(200)
        halves = np.array([rows[rng.permutation(200)[:100]].mean() for _ in range(20)])
        one = Outcome.over_all("m", measures.mean, rows, refits=halves, range=(-9, 9)).interval()
        found.append(one.low <= 0 <= one.high)
    assert 182 <= sum(found) <= 200


def test_more_comparisons_want_more_proof() -> None:
    rng = np.random.default_rng(12)
    base = rng.random(60)
    outcomes = {name: Outcome.over_all("m", measures.mean, base - gap) for name, gap in (("a", 0.0), ("b", 0.5), ("c", 0.6))}
    alone = differences({name: outcomes[name] for name in ("a", "b")})[0].p
    among = {(one.one, one.other): one.p for one in differences(outcomes)}
    assert set(among) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert alone is not None
    assert among["a", "b"] == pytest.approx(3 * alone)  # Holm: the least of three counts three times
    outcomes["d"] = Outcome.over_all("m", measures.mean, base + rng.normal(0, 0.05, 60) - 0.002)
    assert not differences(outcomes, [("a", "b"), ("a", "d")])[1].shown
