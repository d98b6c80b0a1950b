"""What is kept of an evaluation: the report, and what every model said of every example."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError, OutputExists
from semvec.evaluate.ranking import RankMeasure
from semvec.evaluate.run import evaluate, evaluate_each
from semvec.evaluate.task import EvaluateOptions
from semvec.types import JSON
from tests.evaluate.test_run import QUICK, beir, labelled, sentences, values


def lines(path: Path) -> list[dict[str, JSON]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    path.write_text("\n".join([header.replace(" ", "\t"), *("\t".join(map(str, row)) for row in rows)]) + "\n")


def test_pairs_are_kept_with_their_cosines(tmp_path: Path, word: WordEncoder, sentence: SentenceEncoder) -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    rows = list(zip(rng.integers(0, 6, 30).tolist(), sentences(rng, 30), sentences(rng, 30), strict=True))
    table(tmp_path / "dev.tsv", "score sentence1 sentence2", rows)
    report = evaluate("sts", {"a/b": word, "c/b": sentence}, tmp_path, QUICK, output=tmp_path / "out")
    kept = tmp_path / "out" / f"sts-{tmp_path.name}"
    assert sorted(one.name for one in kept.iterdir()) == ["TF-IDF.jsonl", "b-2.jsonl", "b.jsonl", "report.json"]
    assert json.loads((kept / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))
    for name, file in (("a/b", "b"), ("c/b", "b-2"), ("TF-IDF", "TF-IDF")):
        found = lines(kept / f"{file}.jsonl")
        assert [(one["score"], one["sentence1"], one["sentence2"]) for one in found] == rows
        again = spearmanr([one["cosine"] for one in found], [one["score"] for one in found]).statistic
        assert values(report, name)["spearman"] == pytest.approx(again)
    with pytest.raises(OutputExists, match=r"report\.json: exists already"):
        evaluate("sts", {"w": word}, tmp_path, QUICK, output=tmp_path / "out")
    before = {one.name: one.read_bytes() for one in kept.iterdir()}

    class Stopped(SentenceEncoder):
        """Is interrupted in the middle."""

        def encode(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise KeyboardInterrupt

    stopped = copy.copy(sentence)
    stopped.__class__ = Stopped
    with pytest.raises(KeyboardInterrupt):
        evaluate("sts", {"w": word, "s": stopped}, tmp_path, QUICK, output=tmp_path / "out", overwrite=True)
    assert {one.name: one.read_bytes() for one in kept.iterdir()} == before  # whole as it was
    evaluate("sts", {"w": word}, tmp_path, QUICK, output=tmp_path / "out", overwrite=True)
    assert sorted(one.name for one in kept.iterdir()) == ["TF-IDF.jsonl", "report.json", "w.jsonl"]
    assert len(json.loads((kept / "report.json").read_text())["models"]) == 2
    (tmp_path / "other" / f"sts-{tmp_path.name}").mkdir(parents=True)
    (tmp_path / "other" / f"sts-{tmp_path.name}" / "mine.txt").touch()
    with pytest.raises(OutputExists, match="holds other things"):
        evaluate("sts", {"w": word}, tmp_path, QUICK, output=tmp_path / "other", overwrite=True)


def test_what_a_report_says_of_itself(tmp_path: Path, word: WordEncoder) -> None:
    folder = beir(tmp_path / "data", np.random.default_rng(2))
    found = evaluate("retrieval", {"w": word}, folder, QUICK).to_json()
    assert (found["task"], found["examples"], found["size"]) == ("retrieval", 12, "12 queries, 60 documents")
    assert found["semvec"]
    assert found["models"][0]["encoder"] == json.loads(json.dumps(word.fingerprint.to_json()))
    assert [one["baseline"] for one in found["models"]] == [False, True]
    assert [one["examples"] for one in found["models"]] == [12, 12]


def test_rankings_are_kept_as_trec_has_them(tmp_path: Path, word: WordEncoder) -> None:
    import ir_measures

    folder = beir(tmp_path / "data", np.random.default_rng(2))
    report = evaluate("retrieval", {"w": word}, folder, QUICK, output=tmp_path / "out")
    run = list(ir_measures.read_trec_run(str(tmp_path / "out" / "retrieval-data" / "w.run")))
    cells = [line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    qrels = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in cells]
    for measure in (ir_measures.nDCG @ 10, ir_measures.AP, ir_measures.R @ 100):
        assert ir_measures.calc_aggregate([measure], qrels, run)[measure] == pytest.approx(values(report, "w")[str(measure)])
    kept = lines(tmp_path / "out" / "retrieval-data" / "w.jsonl")
    assert np.mean([one["nDCG@10"] for one in kept]) == pytest.approx(values(report, "w")["nDCG@10"])
    best = [one.doc_id for one in sorted((o for o in run if o.query_id == "q0"), key=lambda one: (-one.score, one.doc_id))]
    assert set(kept[0]["first"][:3]) <= set(best[:10])
    for file in ("corpus.jsonl", "qrels/test.tsv"):
        (folder / file).write_text((folder / file).read_text().replace("d7", "d 7"))
    spaced = evaluate("retrieval", {"w": word}, folder, QUICK, output=tmp_path / "out2")
    assert "no w.run: an id has spaces in it" in " ".join(spaced.lines[0].notes)
    assert "only 12 examples to draw from" in " ".join(spaced.lines[0].notes)
    assert sorted(one.name for one in (tmp_path / "out2" / "retrieval-data").iterdir()) == [
        "BM25.jsonl",
        "report.json",
        "w.jsonl",
    ]


@pytest.mark.parametrize(
    ("task", "shots", "measure"), [("classify", 0, "accuracy"), ("classify", 4, "accuracy"), ("cluster", 0, "v-measure")]
)
def test_labels_are_kept(tmp_path: Path, word: WordEncoder, task: str, shots: int, measure: str) -> None:
    from sklearn.metrics import v_measure_score

    folder = labelled(tmp_path / "data", np.random.default_rng(3))
    options = EvaluateOptions(resamples=100, shots=shots, runs=3)
    value = values(evaluate(task, {"w": word}, folder, options, output=tmp_path), "w")[measure]
    kept = lines(tmp_path / f"{task}-data" / "w.jsonl")
    if task == "cluster":
        first = v_measure_score([one["label"] for one in kept], [one["cluster"] for one in kept])
        assert value == pytest.approx(first, abs=0.5)
    elif shots:
        assert np.mean([one["share of draws right"] for one in kept]) == pytest.approx(value)
    else:
        assert np.mean([one["label"] == one["said"] for one in kept]) == pytest.approx(value)
        assert {one["kNN"] for one in kept} <= {one["label"] for one in kept}


def test_words_analogies_contexts_tags_and_duplicates_are_kept(
    tmp_path: Path, word: WordEncoder, contextual: dict[str, ContextualEncoder]
) -> None:
    (tmp_path / "w.tsv").write_text("bank\triver\t7\nthe\tof\t5\nParis\tbank\t1\nunknownword\tbank\t2\n")
    (tmp_path / "q.txt").write_text(": capitals\nthe bank river of\n: gram1\nParis the bank nothing\nParis the bank river\n")
    evaluate("words", {"w": word}, tmp_path / "w.tsv", QUICK, output=tmp_path)
    assert [one["cosine"] is None for one in lines(tmp_path / "words-w" / "w.jsonl")] == [False, False, False, True]
    assert len(lines(tmp_path / "words-w" / "spelling.jsonl")) == 4
    report = evaluate("analogy", {"w": word}, tmp_path / "q.txt", QUICK, output=tmp_path)
    kept = lines(tmp_path / "analogy-q" / "w.jsonl")
    assert [(one["section"], one["right"] is None) for one in kept] == [("capitals", False), ("gram1", True), ("gram1", False)]
    assert values(report, "w") == {"accuracy": np.mean([kept[0]["right"], kept[2]["right"]]), "semantic": kept[0]["right"], "syntactic": kept[2]["right"]}  # fmt: skip
    places = "label target index1 index2 sentence1 sentence2"
    for split in ("train", "test"):
        table(tmp_path / f"{split}.tsv", places, [("T", "bank", 1, 0, "the bank", "bank"), ("F", "of", 1, 0, "bank of", "of é")])
    accuracy = values(evaluate("wic", {"m": contextual["bert"]}, tmp_path, QUICK, output=tmp_path / "o"), "m")["accuracy"]
    kept = lines(tmp_path / "o" / f"wic-{tmp_path.name}" / "m.jsonl")
    assert np.mean([one["said"] == one["label"] for one in kept]) == accuracy
    pairs = evaluate("pairs", {"w": word}, tmp_path, QUICK, output=tmp_path / "o")
    kept = lines(tmp_path / "o" / f"pairs-{tmp_path.name}" / "w.jsonl")
    assert np.mean([one["said"] == one["label"] for one in kept]) == values(pairs, "w")["accuracy"]
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "train.conll").write_text("the\tO\nbank\tB-X\n\nriver\tO\n")
    (tmp_path / "tags" / "test.conll").write_text("the\tO\nbank\tB-X\nof\tB-Y\n")
    tagged = evaluate("tagging", {"w": word}, tmp_path / "tags", QUICK, output=tmp_path)
    (kept,) = [lines(tmp_path / "tagging-tags" / "w.jsonl")]
    right = [a == b for one in kept for a, b in zip(one["tags"], one["said"], strict=True)]
    assert np.mean(right) == values(tagged, "w")["token accuracy"]
    assert "no training word has the tag B-Y" in tagged.lines[0].notes


def test_several_sets_and_a_model_loaded_once(tmp_path: Path, word: WordEncoder) -> None:
    loaded, steps = [], []

    def load(name: str) -> WordEncoder:
        loaded.append(name)
        return word

    for name in ("one", "two"):
        table(tmp_path / f"{name}.tsv", "score sentence1 sentence2", [(1, "the bank", "of"), (2, "river", "bank"), (3, "é", "é")])
    places = [tmp_path / "one.tsv", tmp_path / "two.tsv"]
    reports = evaluate_each("sts", ["minilm"], places, QUICK, load=load, progress=steps.append)
    assert loaded == ["minilm"]
    assert [Path(one.data).name for one in reports] == ["one.tsv", "two.tsv"]
    assert reports[0].lines == reports[1].lines
    assert any(step.stage == "minilm on two.tsv" and step.done == step.total for step in steps)
    with pytest.raises(InputError, match="no.tsv: is not there"):
        evaluate_each("sts", ["minilm"], [*places, tmp_path / "no.tsv"], QUICK, load=load)
    assert loaded == ["minilm"]  # all data are read before
    with pytest.raises(OptionError, match="two reports would be called"):
        evaluate_each("sts", ["minilm"], [places[0], places[0]], QUICK, load=load, output=tmp_path)


def test_texts_that_were_cut_or_are_unknown_are_told(
    tmp_path: Path, word: WordEncoder, contextual: dict[str, ContextualEncoder]
) -> None:
    rows = [(1, "bank " * 200, "of"), (2, "river", "zzzz qqqq"), (3, "é", "the")]
    table(tmp_path / "dev.tsv", "score sentence1 sentence2", rows)
    found = evaluate("sts", {"w": word, "bert": contextual["bert"]}, tmp_path, QUICK)
    assert found.lines[0].notes[0] == "1 of 6 texts hold nothing that the model knows: they are like no other"
    assert found.lines[1].notes[0].startswith("1 of 6 texts were cut, ")
    whole = evaluate("sts", {"bert": contextual["bert"].with_options(overflow="windows")}, tmp_path, QUICK)
    assert not any("cut" in note for note in whole.lines[0].notes)


def test_options_as_people_give_them(tmp_path: Path, word: WordEncoder) -> None:
    given = EvaluateOptions(seed=np.int64(3), runs=np.int32(4), measures="P@5", train=tmp_path)  # type: ignore[arg-type]
    assert (given.seed, given.runs, given.measures, given.train) == (3, 4, ("P@5",), str(tmp_path))
    assert EvaluateOptions(measures=[RankMeasure.named("AP"), "RR"]).measures == ("AP", "RR")  # type: ignore[arg-type]
    json.dumps({"seed": given.seed, "train": given.train})
    for name, meant in (("MRR", "RR@10"), ("map", "AP"), ("recall@5", "R@10"), ("ndcg@10", "nDCG@10")):
        with pytest.raises(OptionError, match=f"did you mean '{meant}'"):
            EvaluateOptions(measures=(name,))
    with pytest.raises(OptionError, match="options must be EvaluateOptions"):
        evaluate("sts", {"w": word}, tmp_path, {})  # type: ignore[arg-type]


def test_two_files_of_one_part(tmp_path: Path, word: WordEncoder) -> None:
    for name in ("test.tsv", "test.csv"):
        (tmp_path / name).write_text("score\tsentence1\tsentence2\n1\ta\tb\n2\tc\td\n")
    with pytest.raises(InputError, match=r"holds test\.tsv and test\.csv; which\? Name the file"):
        evaluate("sts", {"w": word}, tmp_path, QUICK)
