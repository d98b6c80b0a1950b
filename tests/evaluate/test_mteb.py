"""The adapter to MTEB: its scores against those computed apart from it, on files that the tests write."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

mteb = pytest.importorskip("mteb")

from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchProtocol  # noqa: E402

from semvec.encoders.contextual import ContextualEncoder  # noqa: E402
from semvec.encoders.protocol import Encoder  # noqa: E402
from semvec.encoders.sentence import SentenceEncoder  # noqa: E402
from semvec.encoders.static import StaticEncoder  # noqa: E402
from semvec.encoders.word import WordEncoder  # noqa: E402
from semvec.errors import InputError, OptionError  # noqa: E402
from semvec.evaluate.mteb import MtebEncoder, mteb_scores  # noqa: E402
from semvec.evaluate.mteb_tasks import KINDS, local_task  # noqa: E402
from semvec_cli.main import main  # noqa: E402
from tests.sample import TEXTS  # noqa: E402

WORDS = ["the", "bank", "river", "of", "Paris", "don't"]
SAMPLES, EXPERIMENTS, SEED = 8, 10, 42


def made_up(count: int, seed: int) -> list[str]:
    """Texts of words that the tiny encoders know, every seventh of words that no table of words has."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 5))) for _ in range(count)]
    return ["zyxxy qwrt" if at % 7 == 3 else text for at, text in enumerate(texts)]


def write(path: Path, *columns: tuple[str, list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(name for name, _ in columns)]
    lines += ["\t".join(str(cell) for cell in cells) for cells in zip(*(cells for _, cells in columns), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each kind of task, with texts of unknown words among them."""
    root, rng = tmp_path_factory.mktemp("data"), random.Random(1)
    texts = {seed: made_up(60, seed) for seed in range(4)}
    scores = [round(rng.uniform(0, 5), 2) for _ in range(60)]
    write(root / "sts" / "dev.tsv", ("score", scores), ("sentence1", texts[0]), ("sentence2", texts[1]))
    labels = [rng.randint(0, 1) for _ in range(60)]
    write(root / "pair-classification" / "test.tsv", ("label", labels), ("sentence1", texts[0]), ("sentence2", texts[1]))
    for kind in ("classification", "clustering"):
        for at, split in enumerate(("train", "test")):
            classes = [rng.choice(["water", "money", "city"]) for _ in range(60)]
            write(root / kind / f"{split}.tsv", ("label", classes), ("text", texts[2 + at]))
    folder = root / "retrieval"
    corpus = [{"_id": f"d{at}", "title": "the river" if at % 3 else "", "text": text} for at, text in enumerate(texts[2])]
    queries = [{"_id": f"q{at}", "text": text} for at, text in enumerate(texts[3][:12])]
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    judged = [(f"q{at}", f"d{place}", rng.randint(1, 2)) for at in range(10) for place in rng.sample(range(60), 4)]
    write(
        folder / "qrels" / "test.tsv", *zip(("query-id", "corpus-id", "score"), map(list, zip(*judged, strict=True)), strict=True)
    )
    return root


@pytest.fixture(params=["word", "sentence", "static", "contextual"])
def encoder(
    request: pytest.FixtureRequest,
    word: WordEncoder,
    sentence: SentenceEncoder,
    static: StaticEncoder,
    contextual: dict[str, ContextualEncoder],
) -> Encoder:
    return {"word": word, "sentence": sentence, "static": static, "contextual": contextual["bert"]}[request.param]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def scores_of(encoder: Encoder, kind: str, data: Path, **settings: int) -> dict[str, Any]:
    """All that mteb finds of the one split of the task, with mteb's ``settings`` of it changed."""
    task = local_task(kind, f"tiny-{kind}", data / kind)
    vars(task).update(settings)
    [result] = mteb.evaluate(MtebEncoder(encoder), task, cache=None, show_progress_bar=False).task_results
    [[scores]] = result.scores.values()
    finite = {name: value for name, value in scores.items() if isinstance(value, float) and not name.startswith(("ap", "nauc"))}
    assert finite
    assert all(map(math.isfinite, finite.values()))  # mteb leaves ap of several classes, and nauc of equal scores, undefined
    return scores


def table(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def cosines(one: Any, other: Any) -> Any:
    """Cosines as scikit-learn's ``paired_cosine_distances`` has them: half for a zero vector beside another, 1 for two."""
    unit = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (one, other)]
    return 1 - ((unit[0] - unit[1]) ** 2).sum(1) / 2


def test_sts_is_scipys_spearman(encoder: Encoder, data: Path) -> None:
    rows = table(data / "sts" / "dev.tsv")
    gold, found = [float(row[0]) for row in rows], scores_of(encoder, "sts", data)
    sides = [encoder.encode([row[at] for row in rows]).vectors for at in (1, 2)]
    assert found["main_score"] == pytest.approx(
        spearmanr(cosines(*sides), gold).statistic, abs=2e-3
    )  # bits differ by batch, and ties
    assert found["main_score"] == found["cosine_spearman"]


def test_retrieval_is_ndcg_by_hand(encoder: Encoder, data: Path) -> None:
    corpus = [json.loads(line) for line in (data / "retrieval" / "corpus.jsonl").read_text().splitlines()]
    queries = {
        (one := json.loads(line))["_id"]: one["text"] for line in (data / "retrieval" / "queries.jsonl").read_text().splitlines()
    }
    qrels: dict[str, dict[str, int]] = {}
    for query, document, grade in table(data / "retrieval" / "qrels" / "test.tsv"):
        qrels.setdefault(query, {})[document] = int(grade)
    texts = [f"{one['title']} {one['text']}".strip() for one in corpus]
    found = scores_of(encoder, "retrieval", data)
    documents, asked = encoder.encode_document(texts).vectors, encoder.encode_query([queries[name] for name in qrels]).vectors
    unit = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (asked, documents)]
    gains = []
    for grades, scores in zip(qrels.values(), unit[0] @ unit[1].T, strict=True):
        discount = 1 / np.log2(np.arange(2, 12))
        ideal = sorted(grades.values(), reverse=True)[:10]
        # documents of one score, to which a ranking gives any order, are ordered by how relevant they are or are not
        bounds = []
        for sign in (1, -1):
            order = sorted(
                range(len(scores)), key=lambda at: (-round(float(scores[at]), 4), sign * grades.get(corpus[at]["_id"], 0))
            )
            gain = np.array([grades.get(corpus[at]["_id"], 0) for at in order[:10]])
            bounds.append(float(gain @ discount / (np.array(ideal) @ discount[: len(ideal)])))
        gains.append(bounds)
    least, most = np.mean(gains, axis=0)
    assert least - 1e-4 <= found["main_score"] <= most + 1e-4
    assert found["main_score"] == found["ndcg_at_10"] > 0


def test_queries_and_documents_get_their_prompts(sentence: SentenceEncoder) -> None:
    model, batches = MtebEncoder(sentence), [{"text": TEXTS[:2]}, {"text": TEXTS[2:3], "title": ["not read"]}]
    for prompt_type, encode in (
        ("query", sentence.encode_query),
        ("document", sentence.encode_document),
        (None, sentence.encode),
    ):
        kind = None if prompt_type is None else mteb.types.PromptType(prompt_type)
        found = model.encode(batches, prompt_type=kind, task_metadata=None, hf_split="test", hf_subset="default", batch_size=1)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, encode(TEXTS[:3]).vectors)
    assert not np.allclose(model.encode(batches), model.encode(batches, prompt_type="query"))


def test_classification_is_ten_classifiers_of_eight_a_label(encoder: Encoder, data: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    train, test = (table(data / "classification" / f"{split}.tsv") for split in ("train", "test"))
    vectors, asked = (encoder.encode([row[1] for row in rows]).vectors for rows in (train, test))
    labels, expected = np.array([row[0] for row in train]), np.array([row[0] for row in test])
    order, accuracies = list(range(len(train))), []
    for _ in range(EXPERIMENTS):
        np.random.RandomState(SEED).shuffle(order)
        chosen = [at for name in set(labels) for at in [at for at in order if labels[at] == name][:SAMPLES]]
        chosen.sort(key=order.index)
        classifier = LogisticRegression(max_iter=100, random_state=SEED).fit(vectors[chosen], labels[chosen])
        accuracies.append((classifier.predict(asked) == expected).mean())
    found = scores_of(encoder, "classification", data)
    assert len(found["scores_per_experiment"]) == EXPERIMENTS
    assert found["main_score"] == pytest.approx(np.mean(accuracies), abs=0.01)


def test_clustering_is_k_means_of_samples(word: WordEncoder, data: Path) -> None:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import v_measure_score

    rows = table(data / "clustering" / "test.tsv")
    vectors, labels = word.encode([row[1] for row in rows]).vectors, np.array([row[0] for row in rows])
    rng, expected = random.Random(SEED), []
    for _ in range(3):
        drawn = rng.choices(range(len(rows)), k=100)
        means = MiniBatchKMeans(n_clusters=3, batch_size=512, init="k-means++", n_init=1, random_state=SEED)
        expected.append(v_measure_score(labels[drawn], means.fit_predict(vectors[drawn])))
    found = scores_of(word, "clustering", data, n_clusters=3, max_documents_per_cluster=100)
    assert found["main_score"] == pytest.approx(np.mean(expected), abs=1e-3)


def test_a_clustering_does_not_depend_on_what_ran_before(word: WordEncoder, static: StaticEncoder, data: Path) -> None:
    task = local_task("clustering", "c", data / "clustering")
    assert (task.n_clusters, task.max_documents_per_cluster, task.max_fraction_of_documents_to_embed) == (10, 16_384, None)
    task.n_clusters, task.max_documents_per_cluster = 2, 100
    [before], _, [after] = (mteb_scores(encoder, [task]) for encoder in (word, static, word))
    assert before == after
    assert (before.task, before.split, before.measure) == ("c", "test", "v_measure")


def test_pair_classification_is_average_precision(word: WordEncoder, data: Path) -> None:
    from sklearn.metrics import average_precision_score

    rows = table(data / "pair-classification" / "test.tsv")
    sides = [word.encode([row[at] for row in rows]).vectors for at in (1, 2)]
    found = scores_of(word, "pair-classification", data)
    assert found["cosine_ap"] == pytest.approx(average_precision_score([int(row[0]) for row in rows], cosines(*sides)), abs=1e-3)
    assert found["main_score"] == max(value for name, value in found.items() if name.endswith("_ap") and name != "max_ap")


def test_pairs_may_all_belong_together(tmp_path: Path) -> None:
    write(tmp_path / "test.tsv", ("label", [1, 1]), ("sentence1", ["a", "b"]), ("sentence2", ["a", "b"]))
    task = local_task("pair-classification", "p", tmp_path)
    task.load_data()
    assert list(task.dataset["test"]["labels"]) == [1, 1]


def test_what_is_told_of_a_model(encoder: Encoder, word: WordEncoder, sentence: SentenceEncoder) -> None:
    model = MtebEncoder(encoder)
    meta = model.mteb_model_meta
    assert isinstance(model, EncoderProtocol)
    assert not isinstance(model, SearchProtocol | CrossEncoderProtocol)
    assert (meta.name.partition("/")[0], meta.embed_dim, str(meta.similarity_fn_name)) == ("semvec", encoder.dim, "cosine")
    assert meta.max_tokens == (math.inf if encoder in (word,) or encoder.fingerprint.family == "static" else 64)
    assert meta.use_instructions is (encoder is sentence)
    assert (meta.open_weights, meta.license, meta.n_parameters, meta.training_datasets) == (None, None, None, None)
    assert MtebEncoder(encoder).mteb_model_meta.revision == meta.revision
    assert MtebEncoder(encoder.with_options(normalize=True, truncate_dim=2)).mteb_model_meta.revision != meta.revision
    assert MtebEncoder(encoder.with_options(level="word")).mteb_model_meta == meta


def test_a_prompt_for_queries_alone_is_another_model(sentence: SentenceEncoder) -> None:
    import copy

    other = copy.copy(sentence)
    other.prompts = {**sentence.prompts, "query": "ask: "}
    assert other.fingerprint == sentence.fingerprint
    assert MtebEncoder(other).mteb_model_meta.revision != MtebEncoder(sentence).mteb_model_meta.revision


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_scores_by_the_metric_of_the_encoder(word: WordEncoder, metric: str) -> None:
    class Other(WordEncoder):
        @property
        def metric(self) -> Any:
            return type(word.metric)(metric)

    model = MtebEncoder(Other(word.table, model="other"))
    one, two = (np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float32) for seed in (0, 1))
    two[1] = 0
    unit = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (one, two)]
    expected = {
        "cosine": unit[0] @ unit[1].T,
        "dot": one @ two.T,
        "euclidean": -np.linalg.norm(one[:, None] - two[None], axis=2),
    }[metric]
    np.testing.assert_allclose(np.asarray(model.similarity(one, two)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(model.similarity_pairwise(one, two)), np.diag(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "int8", "binary"])
def test_stored_numbers_are_measured_as_they_are(sentence: SentenceEncoder, dtype: str) -> None:
    found = MtebEncoder(sentence.with_options(dtype=dtype)).encode([{"text": TEXTS[:4]}])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, sentence.encode(TEXTS[:4], dtype=dtype).floats())


def test_what_is_in_the_folder_is_not_run_again(
    word: WordEncoder, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tmp_path / "p.tsv"
    pairs.write_bytes((data / "sts" / "dev.tsv").read_bytes())
    [first] = mteb_scores(word, [local_task("sts", "s", pairs)], tmp_path / "out")
    assert first.split == "p"
    kept = next((tmp_path / "out").rglob("s.json"))
    assert json.loads(kept.read_text())["scores"]["p"][0]["main_score"] == pytest.approx(first.score, abs=1e-5)
    with monkeypatch.context() as patch:
        patch.setattr(WordEncoder, "_encode_rows", lambda *_: pytest.fail("run again"))
        [again] = mteb_scores(word, [local_task("sts", "s", pairs)], tmp_path / "out")
    assert again.score == pytest.approx(first.score, abs=1e-5)
    pairs.write_text("\n".join(pairs.read_text().splitlines()[:20]) + "\n")
    [changed] = mteb_scores(word, [local_task("sts", "s", pairs)], tmp_path / "out")
    assert changed.score != pytest.approx(first.score, abs=1e-5)


def test_nothing_is_fetched_even_where_it_could_be(data: Path, glove_file: Path) -> None:
    script = """
import socket, sys
tried = []
socket.socket.connect = lambda *a: (tried.append(a), 1 / 0)
socket.getaddrinfo = lambda *a, **k: (tried.append(a), 1 / 0)
import semvec
from semvec.evaluate.mteb import mteb_scores
from semvec.evaluate.mteb_tasks import local_task
encoder = semvec.load_encoder(sys.argv[1])
print(len(mteb_scores(encoder, [local_task(kind, kind, f"{sys.argv[2]}/{kind}") for kind in ("sts", "retrieval")])), tried)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(glove_file), str(data)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["2 []"], done.stderr


def test_splits_and_languages(data: Path) -> None:
    def of(*args: Any, **named: Any) -> tuple[list[str], list[str]]:
        about = local_task(*args, **named).metadata
        return about.eval_splits, about.eval_langs

    assert of("sts", "s", data / "sts") == (["dev"], ["eng-Latn"])
    assert of("sts", "s", data / "sts" / "dev.tsv", language="zho-Hans") == (["dev"], ["zho-Hans"])
    assert of("clustering", "c", data / "clustering") == (["test"], ["eng-Latn"])
    assert of("clustering", "c", data / "clustering", split="train")[0] == ["train"]
    assert of("retrieval", "r", data / "retrieval")[0] == ["test"]
    beside = local_task("classification", "c", data / "classification" / "test.tsv")
    beside.load_data()
    assert sorted(beside.dataset) == ["test", "train"]
    assert set(beside.dataset["test"]["label"]) == {0, 1, 2}
    assert beside.metadata.revision != local_task("clustering", "c", data / "clustering").metadata.revision


@pytest.mark.parametrize(
    ("kind", "where", "named", "error", "complaint"),
    [
        ("clasification", "classification", {}, OptionError, r"unknown: choose from sts, .* \(did you mean 'classification'"),
        ("sts", "sts", {"language": "en"}, OptionError, "language 'en' is none that MTEB knows"),
        ("sts", "retrieval", {}, InputError, "holds no test.tsv or dev.tsv"),
        ("sts", "nowhere", {}, InputError, "no such file"),
        ("retrieval", "sts/dev.tsv", {}, InputError, "is no folder"),
        ("classification", "pair-classification", {}, InputError, "holds no train.tsv"),
        ("sts", "sts", {"split": "test"}, InputError, "holds no test.tsv;"),
    ],
)  # fmt: skip
def test_what_is_no_task(
    data: Path, kind: str, where: str, named: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        local_task(kind, "x", data / where, **named)


def test_the_kinds_are_mtebs() -> None:
    tasks = mteb.get_tasks(languages=["eng"], modalities=["text"])
    for kind in KINDS.values():
        theirs = [task.metadata.main_score for task in tasks if task.metadata.type == kind.name]
        assert max(set(theirs), key=theirs.count) == kind.main_score


def run(*args: object) -> Any:
    return CliRunner().invoke(main, ["mteb", *(str(arg) for arg in args)], standalone_mode=False)


def test_the_command_prints_a_table(data: Path, glove_file: Path, static_folder: Path, tmp_path: Path, word: WordEncoder) -> None:
    tasks = [f"--task={kind}={data / kind}" for kind in ("sts", "classification")]
    done = run(glove_file, static_folder, *tasks, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    head, *rows = (line.split() for line in done.stdout.splitlines())
    assert head == ["task", "split", "measure", str(glove_file), str(static_folder)]
    assert [row[:3] for row in rows] == [
        ["sts-sts", "dev", "cosine_spearman"],
        ["classification-classification", "test", "accuracy"],
    ]
    [expected] = mteb_scores(word, [local_task("sts", "sts", data / "sts")])
    assert float(rows[0][3]) == pytest.approx(expected.score, abs=1e-4)
    assert len(list((tmp_path / "out").rglob("sts-sts.json"))) == 2
    named = run(glove_file, f"--task=sts={data / 'sts' / 'dev.tsv'}")
    assert named.stdout.splitlines()[1].split()[0] == "sts-sts"


def test_a_bad_row_is_told_before_the_work(data: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.tsv", ("label", ["a", " "]), ("text", ["x", "y"]))
    done = run("nothing-here", f"--task=sts={data / 'sts'}", f"--task=clustering={bad}")
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"Error: {bad}, line 3: the label is empty\n")
    for tasks, complaint in ((["sts"], "is not KIND=PATH"), ([f"sts={data / 'sts'}"] * 2, "two tasks would be called sts-sts")):
        done = run("minilm", *(f"--task={task}" for task in tasks))
        assert complaint in str(done.exception)
