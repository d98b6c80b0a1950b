"""Training against gensim itself, run on the same words; what repeats, what goes on, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.encoders.catalog import load_encoder
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_corpus import Corpus, FileTexts
from semvec.encoders.word_documents import PIECE, Documents
from semvec.encoders.word_train import train_words
from semvec.encoders.word_train_options import TrainOptions
from semvec.errors import InputError, ModelError, OptionError, OutputError, OutputExists
from semvec.types import Oov

SEA = [
    "The",
    "ship",
    "sails",
    "over",
    "deep",
    "blue",
    "water",
    "while",
    "old",
    "sailors",
    "watch",
    "waves",
    "and",
    "gulls",
    "near",
    "the",
    "harbour",
]
LAND = [
    "A",
    "farmer",
    "ploughs",
    "his",
    "green",
    "field",
    "where",
    "brown",
    "cows",
    "eat",
    "fresh",
    "grass",
    "beside",
    "wooden",
    "barns",
]
KINDS = ("word2vec", "fasttext", "doc2vec")
ALGORITHMS = [
    ("word2vec", "cbow"), ("word2vec", "skip-gram"), ("fasttext", "cbow"), ("fasttext", "skip-gram"),
    ("doc2vec", "pv-dm"), ("doc2vec", "pv-dbow"),
]  # fmt: skip


def some_texts(count: int = 200, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(rng.choice((SEA, LAND)), k=rng.randint(3, 14))) + "." for _ in range(count)]


TEXTS = some_texts()
TOKENS = [text.lower().rstrip(".").split() for text in TEXTS]


def options(kind: str, **changes: Any) -> TrainOptions:
    small = {"dim": 10, "min_count": 2, "epochs": 3, "seed": 7}
    return TrainOptions(**small | ({"buckets": 300} if kind == "fasttext" else {}) | changes)


def gensims(kind: str, algorithm: str, tokens: list[list[str]] = TOKENS, **changes: Any) -> Any:
    """The same model by gensim alone, in its usual way."""
    from gensim.models import Doc2Vec, FastText, Word2Vec
    from gensim.models.doc2vec import TaggedDocument

    common = {"vector_size": 10, "min_count": 2, "epochs": 3, "seed": 7, "workers": 1} | changes
    if kind == "doc2vec":
        which = {"dm": 1} if algorithm == "pv-dm" else {"dm": 0, "dbow_words": 1}
        return Doc2Vec([TaggedDocument(words, [i]) for i, words in enumerate(tokens)], **common, **which)
    which = {"sg": int(algorithm == "skip-gram")}
    if kind == "fasttext":
        return FastText(tokens, **common, **which, bucket=300)
    return Word2Vec(tokens, **common, **which)


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each kind."""
    root = tmp_path_factory.mktemp("trained")
    for kind in KINDS:
        train_words(kind, TEXTS, root / kind, options(kind))
    return {kind: root / kind for kind in KINDS}


@pytest.mark.parametrize(("kind", "algorithm"), ALGORITHMS)
def test_vectors_are_gensims(tmp_path: Path, kind: str, algorithm: str) -> None:
    encoder = train_words(kind, TEXTS, tmp_path / "m", options(kind, algorithm=algorithm))
    theirs = gensims(kind, algorithm)
    assert list(encoder.table.words) == theirs.wv.index_to_key
    np.testing.assert_array_equal(encoder.table.vectors, theirs.wv.vectors)
    np.testing.assert_array_equal(encoder.table.state["syn1neg"], theirs.syn1neg)
    np.testing.assert_array_equal(encoder.table.counts, theirs.wv.expandos["count"])
    if kind == "fasttext":
        unknown = ["shipping", "seagull", "farmers"]
        found = encoder.encode([[*unknown, "Shipping"]], level="word")
        np.testing.assert_allclose(found.vectors, [theirs.wv[word] for word in (*unknown, "shipping")], rtol=1e-6)
        assert set(found.oov.tolist()) == {Oov.SUBWORD}


def test_a_seed_repeats_the_bytes_in_every_process(tmp_path: Path, models: dict[str, Path]) -> None:
    script = (
        "import sys, json; from pathlib import Path; from semvec.encoders.word_train import train_words;"
        "from tests.encoders.test_train import KINDS, TEXTS, files_of, options; root = Path(sys.argv[1]);"
        "made = {kind: train_words(kind, iter(TEXTS), root / kind, options(kind)) for kind in KINDS};"
        "print(made['doc2vec'].encode(['deep blue water', 'green field']).vectors.tobytes().hex())"
    )
    printed = set()
    for hashseed in ("1", "2"):
        root = tmp_path / hashseed
        root.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script, str(root)],
            env={**os.environ, "PYTHONHASHSEED": hashseed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert not done.stderr
        printed.add(done.stdout)
        for kind in KINDS:
            assert files_of(root / kind) == files_of(models[kind])
    here = load_encoder(models["doc2vec"]).encode(["deep blue water", "green field"]).vectors
    assert printed == {here.tobytes().hex() + "\n"}


def test_another_seed_gives_other_vectors_and_hashes(tmp_path: Path, models: dict[str, Path]) -> None:
    other = train_words("word2vec", TEXTS, tmp_path / "m", options("word2vec", seed=8))
    same = load_encoder(models["word2vec"])
    assert isinstance(same, WordEncoder)
    assert other.table.weights != same.table.weights
    assert (np.asarray(other.table.vectors) != np.asarray(same.table.vectors)).any()


@pytest.mark.parametrize("algorithm", ["pv-dm", "pv-dbow"])
def test_doc2vec_infers_what_gensim_infers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    from gensim.models import doc2vec

    encoder = train_words("doc2vec", TEXTS, tmp_path / "m", options("doc2vec", algorithm=algorithm))
    theirs = gensims("doc2vec", algorithm)
    texts = ["Deep BLUE water!", "cows eat unheardof grass", "qqqqq wwwww"]
    known = [["deep", "blue", "water"], ["cows", "eat", "grass"]]
    found = encoder.encode(texts)
    assert found.oov.tolist() == [Oov.EXACT, Oov.EXACT, Oov.ZERO]
    assert not found.vectors[2].any()
    start = doc2vec.pseudorandom_weak_vector
    for vector, words in zip(found.vectors, known, strict=False):
        seed = zlib.crc32(" ".join(words).encode())
        np.testing.assert_array_equal(vector, Documents(lambda: theirs).infer(words))  # before it was kept
        theirs.random = np.random.RandomState(seed)
        monkeypatch.setattr(
            doc2vec, "pseudorandom_weak_vector", lambda n, seed_string, seed=seed: start(n, seed_string, lambda _: seed)
        )
        np.testing.assert_array_equal(vector, theirs.infer_vector(words))  # by gensim's own loop
    np.testing.assert_array_equal(encoder.encode(texts[::-1]).vectors[::-1], found.vectors)
    assert encoder.encode(["deep water"], level="word").oov.tolist() == [Oov.EXACT] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_is_gensims(tmp_path: Path, models: dict[str, Path], kind: str) -> None:
    from gensim.models.doc2vec import TaggedDocument

    more = [f"{text[:-1]} lighthouse tractor" for text in some_texts(60, seed=1)] + ["once"]
    tokens = [text.lower().rstrip(".").split() for text in more]
    encoder = train_words(kind, more, tmp_path / "next", TrainOptions(seed=3, epochs=2), continued=models[kind])
    theirs = gensims(kind, "pv-dm" if kind == "doc2vec" else "cbow")
    old = list(theirs.wv.index_to_key)
    theirs.random, theirs.seed = np.random.RandomState(3), 3
    if kind == "doc2vec":
        theirs.dv.vectors = np.zeros((0, 0), dtype=np.float32)
        theirs.build_vocab([TaggedDocument(words, [i]) for i, words in enumerate(tokens)], update=True)
        theirs.dv.resize_vectors(seed=3 + 7919)
        corpus: Any = [TaggedDocument(words, [i]) for i, words in enumerate(tokens)]
    else:
        theirs.build_vocab(tokens, update=True)
        corpus = tokens
    theirs.train(corpus, total_examples=len(tokens), epochs=2, start_alpha=0.025, end_alpha=1e-4)
    assert theirs.wv.index_to_key == [*old, "lighthouse", "tractor"]
    by_count = sorted(theirs.wv.index_to_key, key=lambda word: -theirs.wv.get_vecattr(word, "count"))
    assert by_count != theirs.wv.index_to_key
    assert list(encoder.table.words) == by_count
    rows = [theirs.wv.key_to_index[word] for word in by_count]
    np.testing.assert_array_equal(encoder.table.vectors, theirs.wv[by_count])
    np.testing.assert_array_equal(encoder.table.counts, theirs.wv.expandos["count"][rows])
    assert set(encoder.table.state) == {"syn1neg", "sample_int", *(["vectors_vocab"] if kind == "fasttext" else [])}
    np.testing.assert_array_equal(encoder.table.state["syn1neg"], theirs.syn1neg[rows])
    np.testing.assert_array_equal(encoder.table.state["sample_int"], theirs.wv.expandos["sample_int"][rows])
    if kind == "fasttext":
        np.testing.assert_array_equal(encoder.table.state["vectors_vocab"], theirs.wv.vectors_vocab[rows])
    assert encoder.table.training is not None
    assert encoder.table.training["before"]["training"]["settings"]["seed"] == 7
    assert encoder.encode(["lighthouse near the harbour"]).oov.tolist() == [Oov.EXACT]


def test_going_on_keeps_the_order_of_frequency(tmp_path: Path) -> None:
    """The spelling rung, compounds and `among` take the first words for the most frequent."""
    train_words("word2vec", ["recipe letters slowly"] * 3, tmp_path / "old", options("word2vec"))
    more = ["recite verses quickly", "recite verses"] * 20
    new = [train_words("word2vec", more, tmp_path / n, TrainOptions(seed=1), continued=tmp_path / "old") for n in "ab"]
    table = new[0].table
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    counts = Counter(word for text in [*["recipe letters slowly"] * 3, *more] for word in text.split())
    assert dict(zip(table.words, table.counts.tolist(), strict=True)) == dict(counts)  # type: ignore[union-attr]
    assert [counts[word] for word in table.words] == sorted(counts.values(), reverse=True)
    near = ["recipe", "recite"]  # both one typing error from what is asked
    assert new[0].standing("reciqe").words == (max(near, key=lambda word: counts[word]),)
    commonest = {word for word, _ in counts.most_common(2)}
    assert {one.word for one in new[0].nearest(["slowly"], among=2)[0]} == commonest
    third = [train_words("word2vec", TEXTS, tmp_path / f"{n}3", TrainOptions(seed=2), continued=tmp_path / n) for n in "ab"]
    assert files_of(tmp_path / "a3") == files_of(tmp_path / "b3")
    assert (np.diff(third[0].table.counts) <= 0).all()  # type: ignore[arg-type]


def test_going_on_starts_where_it_was(tmp_path: Path) -> None:
    first = train_words("word2vec", TEXTS, tmp_path / "a", options("word2vec", epochs=30))
    second = train_words("word2vec", TEXTS, tmp_path / "b", TrainOptions(seed=7, epochs=1), continued=tmp_path / "a")
    fresh = train_words("word2vec", TEXTS, tmp_path / "c", options("word2vec", epochs=1))
    losses = [encoder.table.training["losses"] for encoder in (first, second, fresh)]  # type: ignore[index]
    assert [len(its) for its in losses] == [30, 1, 1]
    assert losses[1][0] < losses[2][0]
    assert losses[0][-1] < losses[0][0]

    def apart(one: WordEncoder, other: WordEncoder) -> float:
        return float(np.linalg.norm(np.asarray(one.table.vectors) - np.asarray(other.table.vectors)))

    assert apart(first, second) < 0.5 * apart(first, fresh)
    again = train_words(
        "word2vec", TEXTS, tmp_path / "a", TrainOptions(seed=7, epochs=1), continued=tmp_path / "a", overwrite=True
    )
    np.testing.assert_array_equal(again.table.vectors, second.table.vectors)


def test_a_saved_model_is_the_same_and_can_go_on(tmp_path: Path, models: dict[str, Path]) -> None:
    for kind in KINDS:
        encoder = load_encoder(models[kind])
        assert isinstance(encoder, WordEncoder)
        encoder.fit_sif(TEXTS).save(tmp_path / kind)
        saved = load_encoder(tmp_path / kind)
        assert isinstance(saved, WordEncoder)
        assert saved.table.weights == encoder.table.weights
        np.testing.assert_array_equal(saved.encode(TEXTS[:5]).vectors, encoder.encode(TEXTS[:5]).vectors)
        small = TrainOptions(seed=1, epochs=1)
        one = train_words(kind, TEXTS, tmp_path / f"{kind}1", small, continued=models[kind])
        two = train_words(kind, TEXTS, tmp_path / f"{kind}2", small, continued=tmp_path / kind)
        np.testing.assert_array_equal(one.table.vectors, two.table.vectors)


def test_phrases_are_the_same_in_training_and_in_encoding(tmp_path: Path) -> None:
    rng = random.Random(1)
    fill = [f"w{n}" for n in range(40)]
    texts = []
    for i in range(300):
        words = rng.choices(fill, k=8)
        words[rng.randrange(7)] = "New York" if i % 3 else "snake_case"
        texts.append(" ".join(words) + (" snake case" if i % 5 == 0 else "") + (" rare pair" if i in (1, 2) else ""))
    encoder = train_words(
        "word2vec",
        texts,
        tmp_path / "m",
        options("word2vec", phrases=True, phrase_threshold=1.0, min_count=3, epochs=1, sample=0),
    )
    table = encoder.table
    joined = [word for word in table.words if "_" in word]
    assert "new_york" in joined
    assert "rare_pair" not in joined
    assert table.training is not None
    assert table.training["phrases"] == len(joined)
    found = encoder.encode(texts, level="word")
    counts = dict.fromkeys(table.words, 0)
    for one in found.surface:
        word = one.lower().replace(" ", "_")
        counts[word] = counts.get(word, 0) + 1
    assert [counts[word] for word in table.words] == table.counts.tolist()  # type: ignore[union-attr]
    some = encoder.encode(["I saw New York, new york"], level="word")
    assert some.surface.tolist() == ["I", "saw", "New York", "new york"]
    assert some.oov.tolist()[2:] == [Oov.EXACT] * 2
    row = table.words.get("new_york")
    np.testing.assert_array_equal(some.vectors[2], table.vectors[row])
    np.testing.assert_array_equal(encoder.encode(["New York"]).vectors[0], table.vectors[row])
    apart = encoder.encode([["New", "York"]], level="word")
    assert apart.rows == 2
    np.testing.assert_array_equal(encoder.encode([["New", "York"]]).vectors[0], table.vectors[row])
    more = train_words("word2vec", ["new york w1 w2"] * 5, tmp_path / "n", TrainOptions(epochs=1), continued=tmp_path / "m")
    assert more.table.counts is not None
    assert more.table.counts[more.table.words.get("new_york")] == table.counts[row] + 5  # type: ignore[index]


def test_phrases_of_texts_are_inferred_as_trained(tmp_path: Path) -> None:
    texts = [f"New York {a} {b}" for a, b in zip(SEA * 9, LAND * 9, strict=False)]
    encoder = train_words("doc2vec", texts, tmp_path / "m", options("doc2vec", phrases=True, phrase_threshold=0.1))
    assert encoder.table.documents is not None
    assert encoder.table.words.get("new_york") is not None
    np.testing.assert_array_equal(encoder.encode(["NEW york"]).vectors[0], encoder.table.documents.infer(["new_york"]))


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_not_cut(tmp_path: Path, kind: str) -> None:
    rng = random.Random(0)
    words = rng.choices(SEA, k=25_000)
    encoder = train_words(kind, [words, words[:3]], tmp_path / "m", options(kind, sample=0.0, min_count=1))
    assert encoder.table.training is not None
    assert encoder.table.training["corpus"]["words"] == 25_003
    assert encoder.table.training["trained_words"] == 3 * 25_003
    if kind == "doc2vec":
        other = [*words[:-5000], *rng.choices(SEA, k=5000)]
        one, two = encoder.encode([" ".join(words), " ".join(other)]).vectors
        assert (one != two).any()
        assert encoder.table.training["corpus"]["texts"] == 2


def test_pieces_are_what_gensim_reads() -> None:
    from gensim.models.word2vec import MAX_WORDS_IN_BATCH

    assert PIECE == MAX_WORDS_IN_BATCH


def test_small_letters_and_capitals(tmp_path: Path) -> None:
    texts = ["Polish people polish shoes", "polish Polish"] * 5
    lower = train_words("fasttext", texts, tmp_path / "lower", options("fasttext"))
    cased = train_words("fasttext", texts, tmp_path / "cased", options("fasttext", lower=False))
    assert sorted(lower.table.words) == ["people", "polish", "shoes"]
    assert sorted(cased.table.words) == ["Polish", "people", "polish", "shoes"]
    found = lower.encode(["POLISH Polish polishing POLISHING"], level="word", oov="subword")
    assert found.oov.tolist() == [Oov.EXACT, Oov.EXACT, Oov.SUBWORD, Oov.SUBWORD]
    np.testing.assert_array_equal(found.vectors[2], found.vectors[3])
    found = cased.encode(["Polish polish"], level="word")
    assert (found.vectors[0] != found.vectors[1]).any()


def test_the_loss_of_several_threads_is_that_of_one(tmp_path: Path) -> None:
    texts = TEXTS * 100
    runs = [
        train_words("word2vec", texts, tmp_path / str(n), TrainOptions(dim=10, epochs=2, workers=n)).table.training
        for n in (1, 2)
    ]  # fmt: skip
    for one, two in zip(runs[0]["losses"], runs[1]["losses"], strict=True):  # type: ignore[index]
        assert two == pytest.approx(one, rel=0.2)


def test_the_loss_is_gensims(tmp_path: Path) -> None:
    encoder = train_words("word2vec", TEXTS, tmp_path / "m", options("word2vec", sample=0.0))
    theirs = gensims("word2vec", "cbow", sample=0.0, compute_loss=True)
    words = sum(encoder.table.counts)  # type: ignore[arg-type]
    assert sum(encoder.table.training["losses"]) * words == pytest.approx(theirs.get_latest_training_loss(), rel=1e-4)  # type: ignore[index]


def test_files_are_read_as_encode_reads_them(tmp_path: Path, models: dict[str, Path]) -> None:
    rows = [json.dumps({"id": "twice", "text": text}) for text in TEXTS]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows))
    (tmp_path / "lines.txt").write_text("\n\n".join(TEXTS))
    for name in ("corpus.jsonl", "lines.txt"):
        encoder = train_words("word2vec", FileTexts(tmp_path / name), tmp_path / f"{name}.model", options("word2vec"))
        mine, theirs = files_of(tmp_path / f"{name}.model"), files_of(models["word2vec"])
        assert {n for n in mine if mine[n] != theirs[n]} <= {"header.json"}
        assert encoder.table.training is not None
        assert encoder.table.training["corpus"]["without_words"] == (199 if name == "lines.txt" else 0)


def test_a_model_among_its_own_inputs_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS))
    for _ in range(2):
        texts = FileTexts(tmp_path, output=tmp_path / "m")
        assert len(list(texts)) == 1
        train_words("word2vec", texts, tmp_path / "m", options("word2vec"), overwrite=True)
    with pytest.raises(InputError, match="no files but those of the output"):
        FileTexts(tmp_path / "m", output=tmp_path / "m")


def broken_texts() -> Iterator[str]:
    yield from TEXTS
    raise InputError("the source broke")


@pytest.mark.parametrize(
    ("texts", "changes", "error", "complaint"),
    [
        ([], {}, InputError, "there are no texts"),
        (["", "..."], {}, InputError, "none of the 2 texts has a word"),
        (["one", "two"], {"min_count": 1}, InputError, "a word has no neighbours"),
        (["a b c"], {}, InputError, "no word comes 2 times, the most frequent, 'a', 1 times"),
        (["a", 3], {}, InputError, "text 1: .*not a string but int"),
        (["a\udc80"], {}, InputError, "text 0: not UTF-8"),
        ([["a", "b\nc"]], {}, InputError, "text 0: .*line break"),
        ("one text", {}, InputError, "iterable of texts"),
        (broken_texts(), {}, InputError, "the source broke"),
        (TEXTS, {"algorithm": "pv-dm"}, OptionError, "word2vec has no algorithm 'pv-dm': choose cbow or skip-gram"),
        (TEXTS, {"algorithm": "cbov"}, OptionError, "did you mean 'cbow'"),
        (TEXTS, {"min_n": 2}, OptionError, "min_n: of no use to word2vec"),
        (TEXTS, {"dim": 0}, OptionError, "dim must be a whole number from 1"),
        (TEXTS, {"dim": 10**9, "seed": None}, OptionError, "dim must be a whole number from 1 to 20,000"),
        (TEXTS, {"alpha": 0.0}, OptionError, "alpha must be a number above 0"),
        (TEXTS, {"sample": 1.5}, OptionError, "sample must be a number from 0 to 1"),
        (TEXTS, {"workers": 2}, OptionError, "only in one thread"),
        (TEXTS, {"phrase_threshold": 2.0}, OptionError, "does nothing without phrases"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained(
    tmp_path: Path, texts: Any, changes: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        train_words("word2vec", texts, tmp_path / "m", options("word2vec", **changes))
    assert not list(tmp_path.iterdir())


def test_what_cannot_go_on(tmp_path: Path, models: dict[str, Path], glove_file: Path) -> None:
    glove = load_encoder(glove_file)
    assert isinstance(glove, WordEncoder)
    glove.save(tmp_path / "glove")
    for old, kind, changes, error, complaint in (
        (tmp_path / "nowhere", "word2vec", {}, ModelError, "no such model"),
        (glove_file, "word2vec", {}, ModelError, "only a folder that 'semvec train' made"),
        ("glove-50d", "word2vec", {}, ModelError, "glove-50d: cannot go on, it comes without the weights"),
        (tmp_path / "glove", "word2vec", {}, ModelError, "its vectors came from glove without the weights"),
        (models["fasttext"], "word2vec", {}, ModelError, "is a fasttext model, which word2vec cannot go on with"),
        (models["word2vec"], "word2vec", {"dim": 11}, OptionError, "dim is 10 in the model that goes on and cannot become 11"),
        (models["word2vec"], "word2vec", {"algorithm": "skip-gram"}, OptionError, "algorithm is cbow"),
        (models["word2vec"], "word2vec", {"phrases": True}, OptionError, "phrases is False"),
    ):
        with pytest.raises(error, match=complaint):
            train_words(kind, TEXTS, tmp_path / "m", TrainOptions(**changes), continued=old)  # type: ignore[arg-type]
    shutil.copytree(models["word2vec"], tmp_path / "robbed")
    header = json.loads((tmp_path / "robbed" / "header.json").read_text())
    (tmp_path / "robbed" / "header.json").write_text(json.dumps(header | {"state": ["sample_int"]}))
    with pytest.raises(ModelError, match="syn1neg is missing"):
        train_words("word2vec", TEXTS, tmp_path / "m", continued=tmp_path / "robbed")
    with pytest.raises(InputError, match="no word comes 2 times"):
        train_words("word2vec", ["zxq xqz"], tmp_path / "m", continued=models["word2vec"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["glove", "robbed"]


def test_an_output_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    unread = iter(TEXTS)
    with pytest.raises(OutputExists):
        train_words("word2vec", unread, tmp_path / "file")
    with pytest.raises(OutputError, match="no folder of word vectors"):
        train_words("word2vec", unread, tmp_path / "file", overwrite=True)
    with pytest.raises(OutputError, match="does not exist"):
        train_words("word2vec", unread, tmp_path / "nowhere" / "m")
    assert next(unread) == TEXTS[0]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_fails_in_gensims_threads_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Corpus) -> Iterator[list[str]]:
        yield from TOKENS[:10]
        raise OSError("the disk is gone")

    monkeypatch.setattr(Corpus, "__iter__", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        train_words("word2vec", TEXTS, tmp_path / "m", options("word2vec"))
    monkeypatch.undo()
    from gensim.models import FastText

    def fails(*_: Any) -> None:
        raise RuntimeError("no more memory")

    monkeypatch.setattr(FastText, "_do_train_job", fails)
    with pytest.raises(RuntimeError, match="no more memory"):
        train_words("fasttext", TEXTS, tmp_path / "m", options("fasttext"))
    assert not list(tmp_path.iterdir())


def test_diverging_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gensim.models import Word2Vec

    monkeypatch.setattr(Word2Vec, "_clear_post_train", lambda self: self.wv.vectors.fill(np.nan))
    with pytest.raises(ModelError, match="training diverged"):
        train_words("word2vec", TEXTS, tmp_path / "m", options("word2vec"))
    assert not list(tmp_path.iterdir())


def test_progress_tells_every_stage(tmp_path: Path) -> None:
    steps: list[Any] = []
    train_words("word2vec", TEXTS, tmp_path / "m", options("word2vec", phrases=True), progress=steps.append)
    assert {step.stage for step in steps} >= {"reading", "finding phrases", "epoch 1 of 3"}
    reading = [step for step in steps if step.stage == "reading"]
    assert (reading[-1].done, reading[-1].unit) == (200, "texts")


def test_every_option_is_described() -> None:
    described = (TrainOptions.__doc__ or "").replace("min_n, max_n", "min_n`` ``max_n")
    assert all(f"``{field.name}``" in described for field in dataclasses.fields(TrainOptions))
