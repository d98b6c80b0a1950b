"""semvec convert and semvec words, as a shell runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import semvec
from semvec.encoders.word import WordEncoder
from semvec.errors import FewTexts
from tests.cli.test_encode import PROGRAM, refused, run


def test_convert_and_use(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "corpus.txt").write_text("the bank of the river\n\nParis\nof the bank\n")
    with pytest.warns(FewTexts, match="SIF was fitted on 3 texts, fewer than the 4 numbers of a vector"):
        done = run("convert", glove_file, tmp_path / "folder", "--sif", tmp_path / "corpus.txt")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        f"8 words of 4 numbers in {tmp_path / 'folder'}\n"
        "SIF fitted on 3 texts; --pooling sif uses it, without that texts are the mean of their words\n"
    )
    run("encode", tmp_path / "corpus.txt", "-o", tmp_path / "mean.npy", "-m", tmp_path / "folder", "--keep-blank")
    assert semvec.read_embeddings(tmp_path / "mean.npy").fingerprint.settings["pooling"] == "mean"
    done = run(
        "encode", tmp_path / "corpus.txt", "-o", tmp_path / "x.npy", "-m", tmp_path / "folder", "--pooling", "sif", "--keep-blank"
    )
    assert done.exit_code == 0, done.output
    assert "9 words: 9 in the vocabulary (0.0 % unknown)" in done.stdout
    expected = semvec.load_encoder(tmp_path / "folder", pooling="sif").encode(["Paris"])
    assert semvec.read_embeddings(tmp_path / "x.npy")[2].vectors.tolist() == expected.vectors.tolist()
    shown = run("inspect", tmp_path / "folder").stdout
    assert "8 words of 4 numbers" in shown
    assert "sif: fitted on 3 texts (a 0.0001)" in shown
    assert json.loads(run("inspect", tmp_path / "folder", "--json").stdout)["words"] == 8
    refused(run("convert", glove_file, tmp_path / "folder"), "exists already; --overwrite")
    refused(run("convert", tmp_path / "corpus.txt", tmp_path / "other"), "holds no word vectors")
    refused(run("convert", glove_file, tmp_path / "no" / "where"), "does not exist")
    refused(run("convert", tmp_path / "folder", tmp_path / "folder", "--overwrite"), "is the input itself")
    (tmp_path / "odd.txt").write_text("zyxxy\n")
    refused(run("convert", glove_file, tmp_path / "other", "--sif", tmp_path / "odd.txt"), "nothing to fit SIF on")
    assert not (tmp_path / "other").exists()


def test_encode_closes_with_the_words_on_each_rung(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(["THE bánk of rivers", "zyxxy the bank-river", "the"] * 700) + "\n")
    done = run("encode", tmp_path / "t.txt", "-o", tmp_path / "x.npy", "-m", glove_file)
    assert done.exit_code == 0
    line = "5,600 words: 2,100 in the vocabulary, 700 by case, 700 by folding, 700 by sub-words, 700 by spelling, 700 unknown (12.5 % unknown)"
    assert line in done.stdout
    done = run("encode", tmp_path / "t.txt", "-o", tmp_path / "y.npy", "-m", glove_file, "--oov", "none")
    assert "5,600 words: 2,100 in the vocabulary, 3,500 unknown (62.5 % unknown)" in done.stdout


def test_questions(glove_file: Path) -> None:
    encoder = WordEncoder.from_pretrained(glove_file)
    done = run("words", "nearest", "BANK", "-k", "2", "-m", glove_file)
    assert done.exit_code == 0, done.output
    assert done.stderr == "BANK: not in the vocabulary, read as bank (case)\n"
    best = encoder.nearest(["bank"], 2)[0]
    assert done.stdout == "".join(f"{one.score:7.4f}  {one.word}\n" for one in best)
    found = json.loads(
        run("words", "nearest", "bank", "-", "-k", "1", "--json", "-m", glove_file, stdin=b"the\n\nParis\n").stdout
    )
    assert [one["word"] for one in found] == ["bank", "the", "Paris"]
    assert found[0]["nearest"] == [{"word": best[0].word, "score": pytest.approx(best[0].score)}]
    done = run("words", "analogy", "the", "bank", "of", "-m", glove_file, "--method", "3cosmul", "--json")
    assert json.loads(done.stdout)[0]["word"] == encoder.analogy([("the", "bank", "of")], 1, method="3cosmul")[0][0].word
    odd, *others = encoder.odd_one_out(["the", "of", "Paris"])
    assert run("words", "odd-one-out", "the", "of", "Paris", "-m", glove_file).stdout.splitlines() == [
        f"{odd.score:7.4f}  {odd.word}  (the odd one out)",
        *(f"{one.score:7.4f}  {one.word}" for one in others),
    ]
    assert float(run("words", "distance", "the bank", "bank the", "-m", glove_file).stdout) == 0


def test_what_stood_for_a_word_is_told(glove_file: Path) -> None:
    words = ["the", "BANK", "rivr", "bank-river", "zyxxy"]
    done = run("words", "nearest", *words, "-k", "1", "--json", "-m", glove_file)
    assert done.exit_code == 0
    told = [(one["rung"], one["read_as"], len(one["nearest"])) for one in json.loads(done.stdout)]
    assert told == [
        ("exact", ["the"], 1),
        ("case", ["bank"], 1),
        ("zero", [], 0),
        ("subword", ["bank", "river"], 1),
        ("zero", [], 0),
    ]
    assert done.stderr.splitlines()[-1] == "2 of 5 words unknown: nothing in the vocabulary stands for them"
    done = run("words", "distance", "BANK zyxxy", "Bank, bánk", "-m", glove_file)
    assert done.stdout == "0.0000\n"
    assert done.stderr.splitlines() == [
        "BANK: not in the vocabulary, read as bank (case)",
        "Bank: not in the vocabulary, read as bank (case)",
        "bánk: not in the vocabulary, read as bank (fold)",
        "left out, not in the vocabulary: zyxxy",
    ]


def test_an_unknown_word_leaves_the_others_their_answers(glove_file: Path) -> None:
    done = run("words", "nearest", "-", "-k", "2", "-m", glove_file, stdin=b"the\nzyxxy\n\nParis\nthe\n")
    assert done.exit_code == 0
    alone = {word: run("words", "nearest", word, "-k", "2", "-m", glove_file).stdout for word in ("the", "Paris")}
    assert done.stdout == f"the:\n{alone['the']}zyxxy: unknown\nParis:\n{alone['Paris']}the:\n{alone['the']}"
    assert done.stderr == "1 of 4 words unknown: nothing in the vocabulary stands for them\n"
    for flags in ([], ["--json"]):
        refused(run("words", "nearest", "zyxxy", "qqq", "-m", glove_file, *flags), "'zyxxy', 'qqq' are not in the vocabulary")


def test_a_word_without_others_is_said_to_have_no_neighbours(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("the 1 2\n")
    done = run("words", "nearest", "the", "-m", tmp_path / "one.txt")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "the: no neighbours, there is no other word among the 1 looked at\n"


def test_questions_that_cannot_be_answered(glove_file: Path, sentence_folder: Path) -> None:
    refused(run("words", "nearest", "zyxxy", "-m", glove_file), "'zyxxy' is not in the vocabulary")
    refused(run("words", "nearest", "the", "-m", sentence_folder), "is no table of word vectors")
    refused(run("words", "nearest", "the", "-m", glove_file, "--oov", "speling"), "did you mean 'spelling'")
    refused(run("words", "odd-one-out", "the", "-m", glove_file), "three words or more")
    refused(run("words", "nearest", "the", "-m", ""), "the name of the model is empty")
    refused(run("words", "nearest", "the", "-m", glove_file, "--oov", ""), "oov is empty")
    refused(
        run("words", "nearest", "BANK", "-m", glove_file, "--oov", "none"), "(rungs that are off: case, fold, subword, spelling)"
    )
    for args, complaint in (
        (["words", "analogy", "man", "king"], "three words, A B C (A is to B as C is to what?), not 2"),
        (["words", "analogy", "the", "", "bank"], "a word is empty"),
        (["words", "nearest", "the", " "], "a word is empty"),
        (["words", "nearest", "-"], "no words: standard input is empty"),
        (["convert", "-", "x"], "IN cannot be standard input (-)"),
        (["convert", glove_file, "-"], "OUT cannot be standard output (-)"),
    ):
        done = run(*args)
        assert done.exit_code == 2
        assert complaint in done.stderr.splitlines()[-1]
    done = run("words", "distance", "the zyxxy", "the", "-m", glove_file)
    assert (done.stdout, done.stderr) == ("0.0000\n", "left out, not in the vocabulary: zyxxy\n")


@pytest.mark.slow
def test_flaws_are_one_line_of_warning(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("the 1 2\nthe 1 2\nbank 1 3\n")
    done = subprocess.run(
        [PROGRAM, "words", "nearest", "the", "-m", str(tmp_path / "t")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == f"Warning: {tmp_path / 't'}: 1 words come more than once ('the'); the first vector of each is kept\n"
