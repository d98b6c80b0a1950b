"""A Chinese corpus from the file to the map, by the command line: words, vectors, search, phrases, groups, a page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from semvec.embeddings.storage import read_embeddings
from semvec.encoders.catalog import load_encoder
from semvec.errors import SplitterWanted
from semvec.text.words import find_words
from semvec_cli.main import main
from tests import tiny

CORPUS = Path(__file__).parent.parent / "examples" / "requests_zh" / "train.tsv"
jieba = pytest.importorskip("jieba")


def run(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, f"{words}: {done.output}"
    return done.stdout


def test_from_the_file_to_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [line.split("\t")[1] for line in CORPUS.read_text(encoding="utf-8").splitlines()[1:]]
    wanted = [[word for word in jieba.cut(text) if any(c.isalnum() for c in word)] for text in rows]

    run(
        "encode",
        CORPUS,
        "-o",
        "词.npz",
        "--level",
        "word",
        "--splitter",
        "jieba:cut",
        "-m",
        tiny.make_sentence_model(tmp_path / "m"),
    )
    assert read_embeddings("词.npz").surface.tolist() == [word for words in wanted for word in words]

    said = run("train", "word2vec", CORPUS, "-o", "词向量", "--splitter", "jieba:cut", "--min-count", 1, "--dim", 16, "--seed", 1)
    different = len({word for words in wanted for word in words})
    assert f"{len(rows)} texts, {sum(map(len, wanted))} words → {different} words of 16" in said
    assert run("words", "nearest", "退货", "-k", 2, "--model", "词向量").count("\n") >= 2

    with pytest.warns(SplitterWanted, match="--splitter jieba:cut"):
        load_encoder("词向量").encode(rows[:1])
    assert load_encoder("词向量", splitter=jieba.cut).encode(rows).rungs[:, -1].sum() == 0  # no word is unknown

    run("index", "build", CORPUS, "-o", "请求.index", "-m", tmp_path / "m" / "model")
    found = [
        json.loads(line) for line in run("search", "请求.index", "发票", "-k", 3, "--hybrid", "--format", "jsonl").splitlines()
    ]
    hits = json.dumps(found, ensure_ascii=False)
    assert "怎样申请电子发票？" in hits  # by the two characters, as no splitter was named
    assert "发票上的公司名称写错了。" in hits

    phrases = run("keyphrases", CORPUS, "-k", 1, "--splitter", "jieba:cut", "-m", tmp_path / "m" / "model", "--format", "jsonl")
    assert "退货" in phrases
    groups = json.loads(run("cluster", CORPUS, "-n", 4, "--splitter", "jieba:cut", "-m", tmp_path / "m" / "model", "--json"))
    known = {word for words in wanted for word in words}
    for group in groups:
        for name in group["name"].split(" · "):
            assert len(name) > 1
            assert "".join(jieba.cut(name)) == name
            assert any(word in name for word in known)

    run("visualise", CORPUS, "-o", "地图.html", "-o", "地图.svg", "--colour", "label", "-m", tmp_path / "m" / "model")
    page = Path("地图.html").read_text(encoding="utf-8")
    packed = re.search(r'id="data"[^>]*>([^<]+)<', page)
    assert packed
    assert rows[0] in gzip.decompress(base64.b64decode(packed[1])).decode("utf-8", "replace")
    assert Path("地图.svg").stat().st_size > 1000


def test_punctuation_is_no_word_of_a_splitter() -> None:
    assert find_words("今天，天气好。", jieba.cut) == [(0, 2), (3, 5), (5, 6)]
    assert find_words("a , b", str.split) == [(0, 1), (4, 5)]
