"""Readers of labelled data: the common layouts, and a line number for whatever is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from semvec.errors import InputError
from semvec.text.columns import split_file
from semvec.text.examples import read_labelled, read_labelled_pairs, read_scored_pairs, read_words_in_context
from semvec.text.retrieval import read_retrieval
from semvec.text.tagged import read_tagged


def test_the_same_pairs_in_every_layout(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(5.0, 'he said "hi"', "a, b"), (1.5, "x", "y é")]
    (tmp_path / "glue.tsv").write_text('index\tscore\tsentence1\tsentence2\n0\t5.0\the said "hi"\ta, b\n1\t1.5\tx\ty é\n')
    (tmp_path / "sick.csv").write_text(
        'relatedness_score,sentence_A,sentence_B\n5.0,"he said ""hi""","a, b"\n1.5,x,y é\n', encoding="utf-8-sig"
    )
    (tmp_path / "own.csv").write_text('main\tf\t2012\t1\t5.0\the said "hi"\ta, b\nmain\tf\t2012\t2\t1.5\tx\ty é\tsource\n')
    lines = [json.dumps({"score": score, "text1": one, "text2": two}) for score, one, two in rows]
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress("\n\n".join(lines).encode()))
    table = {"score": [5.0, 1.5], "sentence1": [rows[0][1], "x"], "sentence2": ["a, b", "y é"], "more": [1, 2]}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    (tmp_path / "SICK.txt").write_text(
        'pair_ID\tsentence_A\tsentence_B\trelatedness_score\n1\the said "hi"\ta, b\t5.0\n2\tx\ty é\t1.5\n'
    )
    (tmp_path / "quora.csv").write_text('id,question1,question2,score\n1,"he said ""hi""","a, b",5\n2,x,y é,1.5\n')
    for name in ("SICK.txt", "quora.csv", "glue.tsv", "sick.csv", "own.csv", "p.jsonl.gz", "p.parquet"):
        found = read_scored_pairs(tmp_path / name)
        assert list(zip(found.scores, found.first, found.second, strict=True)) == rows, name


def test_labels_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("label\ttext\n3\tone\n card \ttwo\n")
    (tmp_path / "qa.jsonl").write_text(
        '{"label": 1, "question": "q", "answer": "a"}\n{"label": false, "question": "q", "answer": ""}\n'
    )
    texts = read_labelled(split_file(tmp_path, "test", "train"))
    assert (texts.texts, texts.labels) == (["one", "two"], ["3", "card"])
    pairs = read_labelled_pairs(tmp_path / "qa.jsonl")
    assert (pairs.first, pairs.second, pairs.labels) == (["q", "q"], ["a", ""], [True, False])


def test_where_a_word_stands(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text(
        "label\ttarget\tpos\tindex1\tindex2\tsentence1\tsentence2\nT\tbank\tN\t1\t0\tthe bank .\tbanks do\nF\té\tN\t0\t1\té\ta é\n"
    )
    glue = {
        "label": True,
        "word": "bank",
        "sentence1": "the bank.",
        "sentence2": "banks",
        "start1": 4,
        "end1": 8,
        "start2": 0,
        "end2": 5,
    }
    (tmp_path / "val.jsonl").write_text(json.dumps(glue) + "\n")
    found = read_words_in_context(tmp_path / "dev.tsv")
    assert (found.first_spans, found.second_spans, found.labels) == ([(4, 8), (0, 1)], [(0, 5), (2, 3)], [True, False])
    found = read_words_in_context(tmp_path / "val.jsonl")
    assert (found.first_spans, found.second_spans, found.labels, found.targets) == ([(4, 8)], [(0, 5)], [True], ["bank"])


def test_sentences_in_columns(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("-DOCSTART- -X- O\n\nEU NNP B-ORG\r\nsaid VBD O\r\n\r\n\nno DT O")
    found = read_tagged(tmp_path / "a.conll")
    assert (found.words, found.tags) == ([["EU", "said"], ["no"]], [["B-ORG", "O"], ["O"]])


def beir(folder: Path, *, corpus: str, queries: str, qrels: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(corpus)
    (folder / "queries.jsonl").write_text(queries)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


CORPUS = '{"_id": "d1", "title": "T", "text": "x"}\n{"_id": 2, "text": "y"}\n'
QUERIES = '{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b"}\n'


def test_a_folder_of_beir(tmp_path: Path) -> None:
    found = read_retrieval(beir(tmp_path / "b", corpus=CORPUS, queries=QUERIES, qrels="q1\td1\t2\nq1\t2\t0\nq2\t2\t0\n"))
    assert found.documents == {"d1": "T x", "2": "y"}
    assert found.queries == {"q1": "a"}  # nothing is relevant to the other
    assert found.qrels == {"q1": {"d1": 2, "2": 0}}


@pytest.mark.parametrize(
    ("reader", "name", "content", "complaint"),
    [
        (read_labelled, "a.tsv", "label\ttext\n\tone\n", "a.tsv, line 2: the label is empty"),
        (read_labelled, "a.tsv", "label\ttext\nx\n", "a.tsv, line 2: 1 cells where the header has 2"),
        (read_labelled, "a.tsv", "label\tbody\nx\ty\n", "a.tsv: no column 'text'; there are 'label', 'body'"),
        (read_labelled, "a.tsv", "label\ttext\n", "a.tsv: holds no examples"),
        (read_labelled, "a.jsonl", '{"label": "x", "text": "a"}\n{"label": "x"}\n', "a.jsonl, line 2: no column 'text'"),
        (read_labelled, "a.jsonl", '{"label": ["x"], "text": "a"}\n', r"line 1: \['x'\] is no label"),
        (read_labelled, "a.jsonl", "[1]\n", "line 1: not a JSON object but list"),
        (read_labelled, "a.jsonl", "{\n", "line 1: not JSON"),
        (read_labelled, "a.jsonl", '{"label": "x", "text": null}\n', "line 1: None is no text"),
        (read_labelled, "a.parquet", "no", "a.parquet: not a Parquet file"),
        (read_labelled_pairs, "a.tsv", "label\tsentence1\tsentence2\n2\ta\tb\n", "line 2: the label '2' is neither true nor false"),
        (read_words_in_context, "a.tsv", "label\ttarget\tindex1\tindex2\tsentence1\tsentence2\nT\tx\t0\t3\ta\tb c\n", "no token '3' in a sentence of 2"),
        (read_words_in_context, "a.tsv", "label\ttarget\tsentence1\tsentence2\nT\tx\ta\tb\n", "line 2: the start None is not a number"),
        (read_words_in_context, "a.tsv", "label\ttarget\tstart1\tend1\tstart2\tend2\tsentence1\tsentence2\nT\tx\t0\t9\t0\t1\ta\tb\n", "'0' to '9' is no part"),
        (read_tagged, "a.conll", "a B-X\nb\n", "a.conll, line 2: 1 columns"),
        (read_tagged, "a.conll", "\n\n", "a.conll: holds no sentences"),
        (read_tagged, "a.conll", "a B-X\nb X\n", "a.conll, line 2: its tag does not mark a span"),
        (read_labelled, "a.tsv", "label\ttext\ttext\nx\ty\tz\n", "a.tsv: two columns are called 'text'"),
        (read_scored_pairs, "a.tsv", "score\tsentence1\tsentence2\n1e308\ta\tb\n", "the score '1e308' is not a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, reader: object, name: str, content: str, complaint: str) -> None:
    (tmp_path / name).write_text(content)
    assert callable(reader)
    with pytest.raises(InputError, match=complaint):
        reader(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"qrels": "q1\td9\t1\n"}, "test.tsv, line 2: judges the document 'd9', which is not there"),
        ({"qrels": "q9\td1\t1\n"}, "test.tsv, line 2: judges the query 'q9', which is not there"),
        ({"qrels": "q1\td1\t0\n"}, "no query has a relevant document in test.tsv"),
        ({"qrels": "q1\td1\t1\nq1\td1\t2\n"}, "line 3: 'q1' and 'd1' were judged otherwise before"),
        ({"qrels": "q1\td1\t0.5\n"}, "line 2: the grade '0.5' is no whole number"),
        ({"corpus": CORPUS + '{"_id": "2", "text": "z"}\n'}, "corpus.jsonl, line 3: the id '2' comes twice"),
        ({"queries": ""}, "queries.jsonl: holds no texts"),
    ],
)
def test_what_is_wrong_with_a_folder_of_beir(tmp_path: Path, changed: dict[str, str], complaint: str) -> None:
    given = {"corpus": CORPUS, "queries": QUERIES, "qrels": "q1\td1\t1\n", **changed}
    with pytest.raises(InputError, match=complaint):
        read_retrieval(beir(tmp_path / "b", **given))


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("label\ttext\n")
    with pytest.raises(InputError, match=r"holds no test\.tsv or dev\.tsv; there is train\.tsv"):
        split_file(tmp_path, "test", "dev")
    with pytest.raises(InputError, match="is no folder"):
        read_retrieval(tmp_path / "train.tsv")


def test_a_row_too_long_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("label\ttext\nx\t" + "a" * (1 << 24) + "\n")
    with pytest.raises(InputError, match="a.tsv, line 2: is longer than 16,777,216 bytes"):
        read_labelled(tmp_path / "a.tsv")
