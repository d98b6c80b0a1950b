"""Word vectors in whatever format they come, and the folder they are converted to."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.encoders import word_text
from semvec.encoders.catalog import load_encoder
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_convert import convert
from semvec.encoders.word_files import find_word_file
from semvec.encoders.word_folder import open_word_folder, write_table, write_word_folder
from semvec.encoders.word_table import WordTable
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.errors import ModelError, OutputError, OutputExists, PickleRefused, WordsFlawed

RNG = np.random.default_rng(7)
WORDS = [
    "the",
    "bank",
    "of the",
    ". . .",
    "1/2",
    "naïve",
    "中文",
    "3.14",
    "x\u00a0y",
    "x\u2028y",
    '"quoted',
    "a,b",
    "-",
    "nan",
    "</s>",
]
VECTORS = (RNG.standard_normal((len(WORDS), 6)) * 10.0 ** RNG.integers(-6, 4, (len(WORDS), 6))).astype(np.float32)


def text_of(words: list[str], vectors: Any, *, header: bool = False, end: str = "\n") -> bytes:
    lines = [f"{len(words)} {vectors.shape[1]}"] if header else []
    lines += [" ".join([word, *(repr(float(x)) for x in vector)]) for word, vector in zip(words, vectors, strict=True)]
    return (end.join(lines) + end).encode()


def binary_of(words: list[str], vectors: Any, *, newline: bytes = b"\n") -> bytes:
    parts = [word.encode() + b" " + vector.astype("<f4").tobytes() + newline for word, vector in zip(words, vectors, strict=True)]
    return f"{len(words)} {vectors.shape[1]}\n".encode() + b"".join(parts)


def the_table(path: Path) -> tuple[list[str], Any]:
    table = find_word_file(path).read()
    return list(table.words), table.vectors


FILES = {
    "glove.txt": text_of(WORDS, VECTORS),
    "crlf.txt": text_of(WORDS, VECTORS, end="\r\n"),
    "trailing.vec": text_of(WORDS, VECTORS, header=True, end=" \n"),
    "no-newline.vec": text_of(WORDS, VECTORS, header=True)[:-1],
    "blank-lines.txt": text_of(WORDS, VECTORS) + b"\n\n",
    "w2v": text_of(WORDS, VECTORS, header=True),
    "packed.txt.gz": gzip.compress(text_of(WORDS, VECTORS)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("block", [300, 1 << 24])
def test_text_in_every_guise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    monkeypatch.setattr(word_text, "BLOCK", block)
    (tmp_path / name).write_bytes(FILES[name])
    words, vectors = the_table(tmp_path / name)
    assert words == WORDS
    np.testing.assert_array_equal(vectors, VECTORS)


def test_tabs_do_for_spaces(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"the\t0.5\t1\nbank\t2\t-3e-2\n")
    words, vectors = the_table(tmp_path / "t")
    assert words == ["the", "bank"]
    np.testing.assert_array_equal(vectors, np.array([[0.5, 1], [2, -0.03]], dtype=np.float32))


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_binary_with_and_without_line_ends(tmp_path: Path, newline: bytes) -> None:
    words = [word for word in WORDS if " " not in word]
    vectors = VECTORS[[" " not in word for word in WORDS]]
    (tmp_path / "b").write_bytes(binary_of(words, vectors, newline=newline))
    found, read = the_table(tmp_path / "b")
    assert found == words
    np.testing.assert_array_equal(read, vectors)


def test_arrows_parser_and_the_careful_one_agree(tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(3000)]
    vectors = (RNG.standard_normal((3000, 5)) * 10.0 ** RNG.integers(-30, 30, (3000, 5))).astype(np.float32)
    block = text_of(words, vectors)
    fast, careful = word_text._fast(block, 5), word_text._careful(block, 5, 1, "x")
    assert fast is not None
    assert fast[0] == careful[0] == [word.encode() for word in words]
    np.testing.assert_array_equal(fast[1], careful[1])
    np.testing.assert_array_equal(fast[1], vectors)


def test_words_that_come_again_are_counted_and_the_first_kept(tmp_path: Path) -> None:
    content = b"the 1 2\nbank 3 4\nthe 5 6\nthe 7 8\nbank 9 9\nriver 0 1\n"
    (tmp_path / "t").write_bytes(content)
    with pytest.warns(WordsFlawed, match=r"3 words come more than once \('the', 'the', 'bank'\); the first vector of each"):
        encoder = load_encoder(tmp_path / "t")
    assert isinstance(encoder, WordEncoder)
    assert list(encoder.table.words) == ["the", "bank", "river"]
    np.testing.assert_array_equal(encoder.table.vectors, [[1, 2], [3, 4], [0, 1]])
    made = convert(tmp_path / "t", tmp_path / "folder")
    assert made.words == 3
    assert "3 words come more than once" in made.flaws


def test_words_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"the 1 2\nb\xffnk 3 4\n")
    with pytest.warns(WordsFlawed, match=r"1 words are not UTF-8"):
        encoder = WordEncoder.from_pretrained(tmp_path / "t")
    assert list(encoder.table.words) == ["the", "b\ufffdnk"]


@pytest.mark.parametrize("cut", [1, 7, 20, 100])
def test_a_cut_binary_says_so(tmp_path: Path, cut: int) -> None:
    words = ["the", "bank", "river"]
    whole = binary_of(words, np.ones((3, 60)), newline=b"")
    (tmp_path / "b").write_bytes(whole[:-cut])
    with pytest.raises(ModelError, match=r"cut short or damaged: its first line promises 3 words, 2 are there"):
        load_encoder(tmp_path / "b")


def test_a_damaged_gz_is_one_line(tmp_path: Path) -> None:
    packed = gzip.compress(text_of(WORDS * 50, np.tile(VECTORS, (50, 1))))
    (tmp_path / "t.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ModelError, match=r"t\.gz: cannot be read"):
        load_encoder(tmp_path / "t.gz")


def test_a_line_far_into_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_text, "BLOCK", 200)
    lines = [f"w{i} {i} {i} {i}" for i in range(500)]
    lines[321] = "w321 1 2"
    (tmp_path / "t").write_text("\n".join(lines))
    with pytest.raises(ModelError, match=r"line 322: 2 numbers where the other lines have 3"):
        load_encoder(tmp_path / "t")


def test_a_folder_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    made = convert(tmp_path / "glove.txt", tmp_path / "folder")
    assert (made.words, made.dim, made.flaws) == (len(WORDS), 6, "")
    table, file = open_word_folder(tmp_path / "folder"), find_word_file(tmp_path / "glove.txt").read()
    assert list(table.words) == WORDS
    assert [table.words[row] for row in range(len(WORDS))] == WORDS
    assert [table.words.get(word) for word in [*WORDS, "zyxxy", ""]] == [*range(len(WORDS)), None, None]
    assert isinstance(table.vectors, np.memmap)
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert table.weights == file.weights
    texts = ["the bank of 中文 naïve naive", "zyxxy"]
    one, other = load_encoder(tmp_path / "folder").encode(texts), load_encoder(tmp_path / "glove.txt").encode(texts)
    one.fingerprint.require_comparable(other.fingerprint)
    np.testing.assert_array_equal(one.vectors, other.vectors)


def test_other_numbers_or_words_are_other_weights() -> None:
    def weights(words: list[str], vectors: Any) -> str:
        return WordTable.of([WordBatch(words, np.array(vectors, dtype=np.float32))], Flaws()).weights

    tables = [(["a", "b"], [[1, 2], [3, 4]]), (["a", "b"], [[1, 2], [3, 5]]), (["a", "c"], [[1, 2], [3, 4]]), (["ab"], [[1, 2]])]
    assert len({weights(words, vectors) for words, vectors in tables}) == len(tables)


def test_fasttext_keeps_its_subwords_in_the_folder(tmp_path: Path) -> None:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    sentences = [["everyone", "has", "the", "right"], ["no", "one", "shall", "be", "held"]] * 20
    model = FastText(sentences, vector_size=8, min_count=1, seed=1, workers=1, epochs=2, bucket=500)
    save_facebook_model(model, str(tmp_path / "ft.bin"))
    convert(tmp_path / "ft.bin", tmp_path / "folder")
    words = ["everyone", "everyones", "rightly", "zq"]
    found = load_encoder(tmp_path / "folder").encode([words], level="word")
    np.testing.assert_allclose(found.vectors, [model.wv[word] for word in words], atol=1e-6)
    np.testing.assert_array_equal(found.vectors, load_encoder(tmp_path / "ft.bin").encode([words], level="word").vectors)


def test_gensims_own_files_need_the_users_word(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(6)
    keyed.add_vectors(WORDS, VECTORS)
    keyed.save(str(tmp_path / "own"))
    with pytest.raises(PickleRefused):
        convert(tmp_path / "own", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    convert(tmp_path / "own", tmp_path / "folder", trust_pickle=True)
    np.testing.assert_array_equal(open_word_folder(tmp_path / "folder").vectors, VECTORS)


def test_nothing_else_is_replaced_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters").write_text("dear")
    with pytest.raises(OutputExists):
        convert(tmp_path / "glove.txt", tmp_path / "mine")
    with pytest.raises(OutputError, match="no folder of word vectors, so it is not replaced"):
        convert(tmp_path / "glove.txt", tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "letters").read_text() == "dear"
    convert(tmp_path / "glove.txt", tmp_path / "folder")
    (tmp_path / "bad.txt").write_bytes(FILES["glove.txt"] + b"cut 1 2\n")
    with pytest.raises(ModelError, match="line 16"):
        convert(tmp_path / "bad.txt", tmp_path / "folder", overwrite=True)
    assert list(open_word_folder(tmp_path / "folder").words) == WORDS
    (tmp_path / "good.txt").write_bytes(b"the 1 2\n")
    convert(tmp_path / "good.txt", tmp_path / "folder", overwrite=True)
    assert list(open_word_folder(tmp_path / "folder").words) == ["the"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "folder", "glove.txt", "good.txt", "mine"]


@pytest.mark.parametrize("victim", ["header.json", "vectors.npy", "words.parquet", "index.npy"])
def test_a_damaged_folder_is_one_clear_error(tmp_path: Path, victim: str) -> None:
    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    convert(tmp_path / "glove.txt", tmp_path / "folder")
    file = tmp_path / "folder" / victim
    whole = file.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], b"{}", None):
        file.unlink() if damage is None else file.write_bytes(damage)
        with pytest.raises(ModelError, match="folder"):
            load_encoder(tmp_path / "folder").encode(["the"])
    if victim == "header.json":
        file.write_bytes(json.dumps({**json.loads(whole), "version": 99}).encode())
        with pytest.raises(ModelError, match="format version 99"):
            load_encoder(tmp_path / "folder")


def test_counts_that_gensim_made_up_are_none(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    (tmp_path / "t").write_bytes(text_of(["the", "bank", "river"], VECTORS[:3], header=True))
    keyed = KeyedVectors.load_word2vec_format(str(tmp_path / "t"))
    assert keyed.get_vecattr("the", "count") == 3
    keyed.save(str(tmp_path / "own"))
    assert find_word_file(tmp_path / "own").read(trust_pickle=True).counts is None


def test_marks_of_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["the", *(f"\ufeffw{i}" for i in range(40))]
    vectors = RNG.standard_normal((41, 3)).astype(np.float32)
    for header in (True, False):
        (tmp_path / "t").write_bytes(b"\xef\xbb\xbf" + text_of(words, vectors, header=header))
        for block in (64, 100, 1 << 20):
            monkeypatch.setattr(word_text, "BLOCK", block)
            assert the_table(tmp_path / "t")[0] == words


def test_lines_that_only_look_like_vectors(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("t " + "12345 " * 30 + "x\n")  # took for ever
    with pytest.raises(ModelError, match="holds no word vectors"):
        load_encoder(tmp_path / "t")
    (tmp_path / "t").write_text("2 3\nthe  1 2 3\nbank 1 2 3\n")  # was taken for a binary
    assert the_table(tmp_path / "t")[0] == ["the", "bank"]
    (tmp_path / "t").write_text("the 0.1 0.2 0.3\nbank 1e-05 0.1 0.2 0.3\n")
    with pytest.raises(ModelError, match="line 2: 4 numbers where the other lines have 3"):
        load_encoder(tmp_path / "t")


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    table = find_word_file(tmp_path / "glove.txt").read()

    def slowly() -> Any:
        yield from table.batches()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "letters").write_text("dear")

    for overwrite in (False, True):
        with pytest.raises(OutputError):
            write_word_folder(tmp_path / "out", slowly(), origin={}, overwrite=overwrite)
        assert (tmp_path / "out" / "letters").read_text() == "dear"
        (tmp_path / "out" / "letters").unlink()
        (tmp_path / "out").rmdir()


def test_two_runs_do_not_mix_and_a_killed_one_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table = WordTable.of([WordBatch(WORDS, VECTORS)], Flaws())

    def nested() -> Any:
        with pytest.raises(OutputError, match="another run is writing it"):
            write_table(tmp_path / "out", table)
        yield from table.batches()

    write_word_folder(tmp_path / "out", nested(), origin={})
    assert not list(tmp_path.glob("semvec-*.lock"))
    assert list(open_word_folder(tmp_path / "out").words) == WORDS
    (tmp_path / "out").rename(tmp_path / ".out.old")  # killed between the two renames
    with pytest.raises(OutputExists):
        write_table(tmp_path / "out", table)
    assert list(open_word_folder(tmp_path / "out").words) == WORDS
    (tmp_path / "link").symlink_to(tmp_path / "out")
    write_table(tmp_path / "link", table, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


def test_words_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semvec.encoders import vocabulary

    monkeypatch.setattr(vocabulary, "_hash", lambda word: len(word))
    table = WordTable.of([WordBatch(WORDS, VECTORS)], Flaws())
    write_table(tmp_path / "folder", table)
    words = open_word_folder(tmp_path / "folder").words
    assert [words.get(word) for word in [*WORDS, "abc", "four"]] == [*range(len(WORDS)), None, None]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"king 1 2 3\nqueen 1 2 4 5\nman 3 1 0\n", "line 2: 4 numbers where the other lines have 3"),
        (b"2 0\nking\nqueen\n", "line 1: vectors of 0 numbers"),
        (b"1 99999999999\nking 1 2 3\n", "line 1: vectors of 99,999,999,999 numbers"),
        (b"king " + b"1 " * 30_000, "line 1: vectors of 30,000 numbers"),
        (b"king 1_0 2 3\nqueen 1 2 3\n", "line 1: '1_0' is not a number"),
        (b"\xba\x16\x4f\x2f" + b"\x0c\0\0\0" + bytes(range(200)), "damaged or cut short"),
        (b"\xba\x16\x4f\x2f", "damaged or cut short"),
    ],
)
def test_files_that_would_be_misread(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ModelError, match=complaint):
        load_encoder(tmp_path / "t")


def test_a_folder_is_not_replaced_with_what_is_the_users_in_it(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    convert(tmp_path / "glove.txt", tmp_path / "folder")
    (tmp_path / "folder" / "mine.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"holds 'mine.txt' besides word vectors"):
        convert(tmp_path / "glove.txt", tmp_path / "folder", overwrite=True)
    with pytest.raises(OutputError, match="lies inside a folder of word vectors"):
        convert(tmp_path / "glove.txt", tmp_path / "folder" / "sub")
    assert (tmp_path / "folder" / "mine.txt").read_text() == "dear"


def test_numbers_or_words_of_another_folder_are_noticed(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "glove.txt").write_bytes(FILES["glove.txt"])
    for name, words in (
        ("vectors", None),
        ("words", WORDS[::-1]),
        ("numbers", list(range(len(WORDS)))),
        ("null", [*WORDS[:-1], None]),
    ):
        convert(tmp_path / "glove.txt", tmp_path / name)
        if words is None:
            np.save(tmp_path / name / "vectors.npy", VECTORS[::-1])
        else:
            pyarrow.parquet.write_table(pyarrow.table({"word": words}), tmp_path / name / "words.parquet")
        with pytest.raises(ModelError, match="damaged, cannot be opened"):
            load_encoder(tmp_path / name)
