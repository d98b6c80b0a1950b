"""Evaluations on tiny models and tiny data, against what is worked out here by other means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, LevelError, OptionError
from semvec.evaluate.classify import draws
from semvec.evaluate.run import evaluate
from semvec.evaluate.task import EvaluateOptions
from semvec.evaluate.tasks import TASKS, task_named
from semvec.text.retrieval import read_retrieval

QUICK = EvaluateOptions(resamples=100)
WORDS = ["the", "bank", "river", "of", "Paris", "don't", "中", "é"]


def sentences(rng: np.random.Generator, count: int) -> list[str]:
    return [" ".join(rng.choice(WORDS, int(rng.integers(1, 6)))) for _ in range(count)]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def values(report: object, model: str) -> dict[str, float]:
    line = next(one for one in report.lines if one.model == model)  # type: ignore[attr-defined]
    return {name: its.value for name, its in line.measures.items()}


def test_sentence_similarity(tmp_path: Path, sentence: SentenceEncoder, word: WordEncoder) -> None:
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(0)
    one, two, gold = sentences(rng, 40), sentences(rng, 40), rng.integers(0, 6, 40)
    rows = "".join(f"{g}\t{a}\t{b}\n" for g, a, b in zip(gold, one, two, strict=True))
    (tmp_path / "dev.tsv").write_text("score\tsentence1\tsentence2\n" + rows)
    report = evaluate("sts", {"st": sentence, "word": word}, tmp_path, QUICK)
    for name, encoder in (("st", sentence), ("word", word)):
        cosines = (unit(encoder.encode(one).vectors) * unit(encoder.encode(two).vectors)).sum(axis=1)
        assert values(report, name) == pytest.approx(
            {"spearman": spearmanr(cosines, gold).statistic, "pearson": pearsonr(cosines, gold).statistic}, abs=1e-5
        )
    assert [(line.model, line.baseline) for line in report.lines] == [("st", False), ("word", False), ("TF-IDF", True)]
    pairs = [{one.one, one.other} for one in report.differences]  # models with each other, then each with the baseline
    assert pairs == [{"st", "word"}, {"st", "TF-IDF"}, {"word", "TF-IDF"}]
    assert all(
        low <= value <= high
        for line in report.lines
        for value, low, high in [(i.value, i.low, i.high) for i in line.measures.values()]
    )
    assert (
        json.loads(json.dumps(report.to_json()))["models"][0]["measures"]["spearman"]["value"] == values(report, "st")["spearman"]
    )
    again = evaluate("sts", {"st": sentence, "word": word}, tmp_path / "dev.tsv", QUICK)
    assert again.lines == report.lines
    assert len(evaluate("sts", {"st": sentence}, tmp_path, EvaluateOptions(baselines=False, resamples=100)).lines) == 1


def test_words_and_analogies(tmp_path: Path, word: WordEncoder, sentence: SentenceEncoder) -> None:
    from scipy.stats import spearmanr

    pairs = [("bank", "river", 7), ("the", "of", 5), ("Paris", "bank", 1), ("unknownword", "bank", 2), ("é", "the", 3)]
    (tmp_path / "w.tsv").write_text("# words\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in pairs))
    report = evaluate("words", {"word": word, "st": sentence}, tmp_path / "w.tsv", QUICK)
    known = [pair for pair in pairs if "unknownword" not in pair]
    for name, encoder, its in (("word", word, known), ("st", sentence, pairs)):
        one, two = (unit(encoder.encode([pair[side] for pair in its]).vectors) for side in (0, 1))  # type: ignore[misc]
        assert values(report, name)["spearman"] == pytest.approx(spearmanr((one * two).sum(1), [p[2] for p in its]).statistic)
    assert report.lines[0].notes[0] == "1 pairs with unknown words left out"
    assert all(its.examples in (4, 5) for its in report.differences)
    (tmp_path / "q.txt").write_text(": one\nthe bank river of\nParis the bank nothing\n")
    report = evaluate("analogy", {"word": word}, tmp_path / "q.txt", QUICK)
    assert report.lines[0].notes[0] == "1 questions with unknown words left out"
    right = word.analogy([("the", "bank", "river")], 1)[0][0].word == "of"
    assert values(report, "word")["accuracy"] == float(right)
    with pytest.raises(OptionError, match="for word vectors"):
        evaluate("analogy", {"st": sentence}, tmp_path / "q.txt", QUICK)


def test_words_in_context(tmp_path: Path, contextual: dict[str, ContextualEncoder]) -> None:
    encoder, rng = contextual["bert"], np.random.default_rng(1)
    header = "label\ttarget\tindex1\tindex2\tsentence1\tsentence2\n"
    data = {}
    for split in ("train", "dev"):
        rows = [(str(rng.choice(["T", "F"])), *sentences(rng, 2)) for _ in range(30)]
        data[split] = rows
        (tmp_path / f"{split}.tsv").write_text(header + "".join(f"{g}\tx\t0\t0\t{a}\t{b}\n" for g, a, b in rows))

    def cosines(split: str) -> np.ndarray:
        sides = []
        for side in (1, 2):
            texts = [row[side] for row in data[split]]
            spans = [[(0, len(text.split(" ")[0]))] for text in texts]
            sides.append(unit(encoder.encode(texts, level="span", spans=spans).vectors))
        return (sides[0] * sides[1]).sum(axis=1)

    known, gold = (np.array([row[0] == "T" for row in data[split]]) for split in ("train", "dev"))
    scores, train = cosines("dev"), cosines("train")
    best = max(((train >= at) == known).mean() for at in train)
    possible = {
        ((scores >= at - 1e-6) == gold).mean() for at in np.arange(-1, 1.01, 0.001) if ((train >= at) == known).mean() == best
    }
    report = evaluate("wic", {"m": encoder}, tmp_path, QUICK)
    assert any(values(report, "m")["accuracy"] == pytest.approx(one) for one in possible)
    with pytest.raises(InputError, match="no training pairs"):
        evaluate("wic", {"m": encoder}, tmp_path / "dev.tsv", QUICK)


def beir(folder: Path, rng: np.random.Generator) -> Path:
    (folder / "qrels").mkdir(parents=True)
    documents, queries = sentences(rng, 60), sentences(rng, 12)
    lines = [json.dumps({"_id": f"d{at}", "title": "", "text": text}) for at, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{at}", "text": text}) for at, text in enumerate(queries))
    )
    judged = [f"q{q}\td{d}\t{rng.integers(0, 3)}" for q in range(12) for d in rng.choice(60, 20, replace=False)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n")
    return folder


@pytest.mark.parametrize("mode", ["dense", "late", "hybrid"])
def test_retrieval(tmp_path: Path, sentence: SentenceEncoder, mode: str) -> None:
    import ir_measures

    folder = beir(tmp_path / "data", np.random.default_rng(2))
    data = read_retrieval(folder)
    queries, documents = list(data.queries.values()), list(data.documents.values())
    dense = unit(sentence.encode_query(queries).vectors) @ unit(sentence.encode_document(documents).vectors).T
    late = np.zeros_like(dense)
    if mode == "late":
        asked, there = sentence.encode_query(queries, level="token"), sentence.encode_document(documents, level="token")
        for q in range(len(queries)):
            for d in range(len(documents)):
                late[q, d] = (unit(asked[q].vectors) @ unit(there[d].vectors).T).max(axis=1).sum()
    import bm25s

    def lucene() -> np.ndarray:
        from semvec.index.terms import terms_of

        engine = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        engine.index([list(terms_of(text)) for text in documents], show_progress=False)
        return np.stack([engine.get_scores(list(terms_of(text))) for text in queries])

    words = lucene()
    rank = lambda scores: np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1  # noqa: E731
    fused = 1 / (60 + rank(dense)) + np.where(words > 0, 1 / (60 + rank(words)), 0)
    scores = {"dense": dense, "late": late, "hybrid": fused}[mode]
    options = EvaluateOptions(mode=mode, measures=("nDCG@10", "AP", "R@5"), resamples=100)  # type: ignore[arg-type]
    report = evaluate("retrieval", {"st": sentence}, folder, options)
    wanted = [ir_measures.parse_measure(name) for name in options.measures]
    for name, table, empty in (("st", scores, -np.inf), ("BM25", words, 0.0)):
        run = {
            q: {d: float(s) for d, s in zip(data.documents, row, strict=True) if s > empty}
            for q, row in zip(data.queries, table, strict=True)
        }
        expected = ir_measures.calc_aggregate(wanted, data.qrels, run)
        assert values(report, name) == pytest.approx(
            {str(one): value for one, value in expected.items()}, abs=0.02 if mode == "hybrid" else 1e-3
        ), name


def labelled(folder: Path, rng: np.random.Generator) -> Path:
    folder.mkdir()
    for split, count in (("train", 120), ("test", 50)):
        rows = "".join(f"{text.split(' ')[0]}\t{text}\n" for text in ["bank bank", "river", *sentences(rng, count)])
        (folder / f"{split}.tsv").write_text("label\ttext\n" + rows)
    return folder


def test_classification(tmp_path: Path, word: WordEncoder) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    folder = labelled(tmp_path / "data", np.random.default_rng(3))
    report = evaluate("classify", {"w": word}, folder, QUICK)
    parts = {}
    for split in ("train", "test"):
        rows = [line.split("\t") for line in (folder / f"{split}.tsv").read_text().splitlines()[1:]]
        parts[split] = (word.encode([text for _, text in rows]).vectors, np.array([label for label, _ in rows]))
    (known, labels), (asked, gold) = parts["train"], parts["test"]
    strength = float(report.lines[0].notes[0].split("C = ")[1].split(",")[0])
    expected = (LogisticRegression(C=strength, max_iter=300).fit(known, labels).predict(asked) == gold).mean()
    found = values(report, "w")
    assert found["accuracy"] == pytest.approx(expected)
    near = KNeighborsClassifier(10, metric="cosine", weights=lambda distance: 1 - distance, algorithm="brute").fit(known, labels)
    assert found["kNN accuracy"] == pytest.approx((near.predict(asked) == gold).mean(), abs=0.06)  # equal texts tie
    assert values(report, "commonest label")["accuracy"] == pytest.approx(
        (gold == max(set(labels), key=list(labels).count)).mean()
    )
    few = evaluate("classify", {"w": word}, folder, EvaluateOptions(shots=4, runs=3, seed=42, resamples=100))
    right = []
    for rows in draws(labels.tolist(), 4, 3, 42):
        right.append(
            (LogisticRegression(max_iter=100, random_state=42).fit(known[rows], labels[rows]).predict(asked) == gold).mean()
        )
        assert max(np.unique(labels[rows], return_counts=True)[1]) == 4
    assert values(few, "w") == pytest.approx({"accuracy": np.mean(right)})


def test_draws_are_those_of_mteb() -> None:
    """Worked by its recipe: numpy's RandomState(seed) shuffles the order once more for every draw."""
    labels = [str(at % 3) for at in range(50)]
    order = list(range(50))
    for rows in draws(labels, 2, 4, 42):
        np.random.RandomState(42).shuffle(order)
        expected = [row for at, row in enumerate(order) if sum(labels[other] == labels[row] for other in order[:at]) < 2]
        assert rows == expected


def test_clustering(tmp_path: Path, word: WordEncoder) -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import v_measure_score

    folder = labelled(tmp_path / "data", np.random.default_rng(4))
    rows = [line.split("\t") for line in (folder / "test.tsv").read_text().splitlines()[1:]]
    labels, vectors = [label for label, _ in rows], word.encode([text for _, text in rows]).vectors
    report = evaluate("cluster", {"w": word}, folder, EvaluateOptions(runs=3, seed=7, resamples=100))
    expected = [
        v_measure_score(labels, KMeans(len(set(labels)), n_init=3, random_state=7 + run).fit_predict(vectors)) for run in range(3)
    ]
    assert values(report, "w")["v-measure"] == pytest.approx(np.mean(expected))
    assert values(report, "chance")["v-measure"] < values(report, "w")["v-measure"]


def test_pairs(tmp_path: Path, word: WordEncoder) -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(5)
    for split in ("train", "test"):
        one, two = sentences(rng, 60), sentences(rng, 60)
        gold = [int(bool(set(a.split()) & set(b.split())) != (rng.random() < 0.1)) for a, b in zip(one, two, strict=True)]
        rows = "".join(f"{g}\t{a}\t{b}\n" for g, a, b in zip(gold, one, two, strict=True))
        (tmp_path / f"{split}.tsv").write_text("label\tquestion\tanswer\n" + rows)
    cosines = (unit(word.encode(one).vectors) * unit(word.encode(two).vectors)).sum(axis=1)
    known = [line.split("\t") for line in (tmp_path / "train.tsv").read_text().splitlines()[1:]]
    train = [unit(word.encode([row[side] for row in known]).vectors.astype(np.float64)) for side in (1, 2)]
    cosines, learnt = np.round(cosines.astype(np.float64), 6), np.round((train[0] * train[1]).sum(axis=1), 6)
    labels = np.array([row[0] == "1" for row in known])
    between = np.concatenate([[-2], (np.unique(learnt)[1:] + np.unique(learnt)[:-1]) / 2, [2]])
    right = np.array([((learnt >= at) == labels).mean() for at in between])
    possible = {round(float(((cosines >= at) == gold).mean()), 6) for at in between[right == right.max()]}
    report = evaluate("pairs", {"w": word}, tmp_path, QUICK)
    assert values(report, "w")["AP"] == pytest.approx(average_precision_score(gold, cosines), abs=1e-3)
    assert any(values(report, "w")["accuracy"] == pytest.approx(one, abs=0.02) for one in possible)
    assert values(report, "chance")["AP"] == pytest.approx(np.mean(gold))
    alone = evaluate("pairs", {"w": word}, tmp_path / "test.tsv", QUICK)
    assert set(values(alone, "w")) == {"AP"}
    assert "no training pairs" in alone.lines[0].notes[0]


def test_tagging(tmp_path: Path, word: WordEncoder, contextual: dict[str, ContextualEncoder]) -> None:
    from seqeval.metrics import f1_score
    from sklearn.linear_model import LogisticRegression

    rng, parts = np.random.default_rng(6), {}
    tag = {"Paris": "B-LOC", "bank": "B-ORG"}
    for split, count in (("train", 80), ("dev", 30)):
        its = [text.split() for text in sentences(rng, count)]
        parts[split] = its, [[tag.get(one, "O") if rng.random() < 0.9 else "O" for one in words] for words in its]
        lines = ["".join(f"{a}\t{b}\n" for a, b in zip(*pair, strict=True)) for pair in zip(*parts[split], strict=True)]
        (tmp_path / f"{split}.conll").write_text("\n".join(lines))
    report = evaluate("tagging", {"w": word, "bert": contextual["bert"]}, tmp_path, QUICK)
    flat = lambda rows: [one for row in rows for one in row]  # noqa: E731
    for name, encoder in (("w", word), ("bert", contextual["bert"])):
        known, asked = (encoder.encode(parts[split][0], level="word").vectors for split in ("train", "dev"))
        said = iter(LogisticRegression(max_iter=300).fit(known, flat(parts["train"][1])).predict(asked))
        predicted = [[str(next(said)) for _ in tags] for tags in parts["dev"][1]]
        right = np.mean([a == b for a, b in zip(flat(predicted), flat(parts["dev"][1]), strict=True)])
        expected = {"span F1": f1_score(parts["dev"][1], predicted), "token accuracy": right}
        assert values(report, name) == pytest.approx(expected, abs=0.01)
    usual = [[tag.get(one, "O") for one in words] for words in parts["dev"][0]]
    assert values(report, "the word's commonest tag")["span F1"] == pytest.approx(f1_score(parts["dev"][1], usual))


def test_sentences_longer_than_the_model_are_tagged_to_their_end(
    tmp_path: Path, contextual: dict[str, ContextualEncoder]
) -> None:
    """What a word is decides its tag, so a probe that sees all of them gets nearly all right, the last ones too."""
    rng = np.random.default_rng(7)
    tag = dict(zip(WORDS, ["O", "B-X"] * 4, strict=True))
    for split in ("train", "test"):
        words = [str(rng.choice(WORDS)) for _ in range(300)]
        (tmp_path / f"{split}.conll").write_text("\n".join(f"{word}\t{tag[word]}" for word in words))
    report = evaluate("tagging", {"bert": contextual["bert"]}, tmp_path, QUICK)
    assert values(report, "bert")["token accuracy"] > 0.9


def test_tags_that_are_no_spans(tmp_path: Path, word: WordEncoder) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.conll").write_text("the\tDT\nbank\tNN\n\nriver\tNN\nof\tIN\n")
    report = evaluate("tagging", {"w": word}, tmp_path, QUICK)
    assert set(values(report, "w")) == {"token accuracy"}
    assert "mark no spans" in report.lines[0].notes[0]


def test_a_query_that_is_a_document_is_no_hit_of_its_own(tmp_path: Path, word: WordEncoder) -> None:
    folder = beir(tmp_path / "data", np.random.default_rng(8))
    lines = (folder / "queries.jsonl").read_text().splitlines()
    with open(folder / "corpus.jsonl", "a") as stream:
        stream.writelines("\n" + line for line in lines)
    report = evaluate("retrieval", {"w": word}, folder, QUICK)
    assert "12 queries are documents too" in report.lines[0].notes[0]
    alone = evaluate("retrieval", {"w": word}, beir(tmp_path / "alone", np.random.default_rng(8)), QUICK)
    assert values(report, "w")["R@100"] == values(alone, "w")["R@100"]


def test_training_pairs_are_never_those_asked_about(tmp_path: Path, word: WordEncoder) -> None:
    for name, rows in (("test", "1\tbank\tbank\n0\tbank\triver\n"), ("train", "1\tof\tof\n0\tof\tParis\n")):
        (tmp_path / f"{name}.tsv").write_text("label\tsentence1\tsentence2\n" + rows)
    by_folder = evaluate("pairs", {"w": word}, tmp_path / "test.tsv", EvaluateOptions(train=str(tmp_path), resamples=100))
    by_file = evaluate(
        "pairs", {"w": word}, tmp_path / "test.tsv", EvaluateOptions(train=str(tmp_path / "train.tsv"), resamples=100)
    )
    assert by_folder.lines == by_file.lines


@pytest.mark.parametrize(
    ("task", "files", "complaint"),
    [
        ("sts", {"dev.tsv": "score\tsentence1\tsentence2\n1\ta\tb\n1\tc\td\n"}, "2 pairs, all of them scored 1"),
        ("sts", {"train.tsv": "score\tsentence1\tsentence2\n"}, "holds no test.tsv or dev.tsv"),
        ("classify", {"test.tsv": "label\ttext\nx\ta\n", "train.tsv": "label\ttext\nx\ta\nx\tb\n"}, "2 training examples have the label 'x'"),
        ("classify", {"test.tsv": "label\ttext\nz\ta\n", "train.tsv": "label\ttext\nx\ta\ny\tb\n"}, "the label 'z' is asked about"),
        ("classify", {"test.tsv": "label\ttext\nz\ta\n"}, "what to learn from"),
        ("cluster", {"test.tsv": "label\ttext\nz\ta\nz\tb\n"}, "have the label 'z', so there is nothing to part"),
        ("pairs", {"test.tsv": "label\tsentence1\tsentence2\n1\ta\tb\n"}, "same label"),
        ("tagging", {"test.conll": "a\tO\n", "train.conll": "a\tO\n"}, "has the tag 'O'"),
        ("tagging", {"test.conll": "a\tO\n", "train.conll": "a\tO\nb\tB-X\n"}, "no span is marked"),
    ],
)  # fmt: skip
def test_data_that_say_nothing(tmp_path: Path, word: WordEncoder, task: str, files: dict[str, str], complaint: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=complaint):
        evaluate(task, {"w": word}, tmp_path, QUICK)


def test_what_cannot_be_asked(tmp_path: Path, word: WordEncoder) -> None:
    with pytest.raises(OptionError, match="no task 'sst' .did you mean 'sts'.*: there are sts, words"):
        evaluate("sst", {"w": word}, tmp_path)
    with pytest.raises(InputError, match="is not there; sts wants a table with score"):
        evaluate("sts", {"w": word}, tmp_path / "no")
    with pytest.raises(OptionError, match="models must be a list"):
        evaluate("sts", "minilm", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="resamples must be a whole number of at least 100, not 5"):
        EvaluateOptions(resamples=5)
    with pytest.raises(OptionError, match="choose from dense, late, hybrid"):
        EvaluateOptions(mode="sparse")  # type: ignore[arg-type]


def test_a_level_the_model_has_not(tmp_path: Path) -> None:
    folder = beir(tmp_path / "data", np.random.default_rng(2))

    class TextOnly:
        """A model of texts alone."""

        levels = ("text",)
        fingerprint = type("F", (), {"model": "text-only"})()

        def with_options(self, **_: object) -> TextOnly:
            return self

    with pytest.raises((LevelError, OptionError), match="wants token vectors; text-only gives text"):
        evaluate("retrieval", {"t": TextOnly()}, folder, EvaluateOptions(mode="late", resamples=100))  # type: ignore[arg-type, dict-item]


def test_every_task_says_what_it_wants() -> None:
    for name in TASKS:
        task = task_named(name)
        assert (task.name, bool(task.layout), task.example.split()[0]) == (name, True, name)


def test_a_baseline_without_a_value_stops_nothing(tmp_path: Path, word: WordEncoder) -> None:
    rows = [("bank", "Paris", 1), ("river", "the", 2), ("of", "é", 3)]  # no two share a word, so TF-IDF says 0 of all
    (tmp_path / "dev.tsv").write_text("score\tsentence1\tsentence2\n" + "".join(f"{s}\t{a}\t{b}\n" for a, b, s in rows))
    report = evaluate("sts", {"w": word}, tmp_path, QUICK)
    assert [line.model for line in report.lines] == ["w"]
    assert report.lines[0].notes[-1].startswith("no baseline TF-IDF: no rank correlation of 3 numbers")
    assert report.lines[0].notes[0] == "only 3 examples to draw from: the intervals are too narrow"
    assert report.data.endswith("dev.tsv")
    (tmp_path / "same.tsv").write_text("score\tsentence1\tsentence2\n1\tbank\tbank\n2\tof\tof\n")
    with pytest.raises(InputError, match=r"w on .*same\.tsv: no rank correlation"):
        evaluate("sts", {"w": word}, tmp_path / "same.tsv", QUICK)


def test_nothing_is_learnt_from_what_is_asked_about(tmp_path: Path, word: WordEncoder) -> None:
    folder = labelled(tmp_path / "data", np.random.default_rng(3))
    for data, options in (
        (folder, EvaluateOptions(split="train")),
        (folder / "test.tsv", EvaluateOptions(train=str(folder / "test.tsv"))),
    ):
        with pytest.raises(InputError, match="is what is asked about, so nothing may be learnt from it"):
            evaluate("classify", {"w": word}, data, options)
    with pytest.raises(OptionError, match="is a file, so there is no part 'train'"):
        evaluate("classify", {"w": word}, folder / "test.tsv", EvaluateOptions(split="train"))
    for options in ({"split": "../dev"}, {"runs": 2}, {"seed": 10**9}):
        with pytest.raises(OptionError, match="must be"):
            EvaluateOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["dense", "late"])
def test_a_query_of_unknown_words_finds_nothing(tmp_path: Path, word: WordEncoder, mode: str) -> None:
    folder = beir(tmp_path / "data", np.random.default_rng(9))
    known = values(evaluate("retrieval", {"w": word}, folder, EvaluateOptions(mode=mode, resamples=100)), "w")["R@100"]  # type: ignore[arg-type]
    assert known == 1  # all 60 documents are found
    lines = (folder / "queries.jsonl").read_text().splitlines()
    (folder / "queries.jsonl").write_text("\n".join([json.dumps({"_id": "q0", "text": "zzzz qqqq"}), *lines[1:]]))
    found = values(evaluate("retrieval", {"w": word}, folder, EvaluateOptions(mode=mode, resamples=100)), "w")["R@100"]  # type: ignore[arg-type]
    assert found == pytest.approx(11 / 12)


def test_labels_that_do_not_vary(tmp_path: Path, word: WordEncoder) -> None:
    header = "label\ttarget\tindex1\tindex2\tsentence1\tsentence2\n"
    for one, other, where in (("T", "F", "train"), ("F", "T", "dev")):
        (tmp_path / "train.tsv").write_text(header + f"{one}\tbank\t0\t0\tbank\tbank\nT\tbank\t0\t0\tbank\tbank\n")
        (tmp_path / "dev.tsv").write_text(header + f"{other}\tbank\t0\t0\tbank\tbank\nT\tbank\t0\t0\tbank\tbank\n")
        with pytest.raises(InputError, match=f"{where if where == 'train' else tmp_path.name}.*have the same label"):
            evaluate("wic", {"w": word}, tmp_path, QUICK)
