"""``semvec distill`` as a shell runs it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import semvec
from semvec.evaluate.sts import PairQuality
from semvec.measures.intervals import Interval
from semvec_cli.distill import kept_line
from semvec_cli.main import main
from tests.cli.test_encode import refused

PAIRS = "score\tsentence1\tsentence2\n5\tthe bank\tthe bank\n1\tthe river\tParis\n3\tthe right\tall rights\n"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["distill", *(str(arg) for arg in args)])


def test_a_static_model_of_a_sentence_model(tmp_path: Path, sentence_folder: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(PAIRS)
    (tmp_path / "a.txt").write_text("the bank of the river\n\nall human beings are born free\n" + "the river " * 80 + "\n")
    (tmp_path / "b.csv").write_text("id,note\n1,the right to life\n")
    out = tmp_path / "m"
    flags = [
        "--corpus",
        tmp_path / "a.txt",
        "--corpus",
        tmp_path / "b.csv",
        "--text-field",
        "note",
        "--dims",
        8,
        "--device",
        "cpu",
    ]
    done = run(sentence_folder, "-o", out, *flags, "--eval", tmp_path / "pairs.tsv", "--seed", 2)
    assert done.exit_code == 0, done.output
    assert re.search(r"tokens → [\d,]+ vectors of 8 in ", done.stdout)
    assert "learnt from 4 texts, 1 of them longer than the model reads; 1 rows were no texts" in done.stdout
    assert re.search(r"Spearman on 3 pairs: -?\d\.\d{3} \[.*\] against -?\d\.\d{3} \[.*\]; [\d,]+ texts/s against [\d,]+ \([\d,]+ times\)", done.stdout)  # fmt: skip
    assert not done.stderr
    found = semvec.load_encoder(out)
    assert (type(found).__name__, found.dim) == ("StaticEncoder", 8)
    semvec.distill(
        semvec.load_encoder(sentence_folder, device="cpu"),
        tmp_path / "again",
        dims=8,
        corpus=["the bank of the river", "all human beings are born free", "the river " * 80, "the right to life"],
        seed=2,
    )
    again = semvec.load_encoder(tmp_path / "again")
    np.testing.assert_array_equal(again.encode(["the bank"]).vectors, found.encode(["the bank"]).vectors)
    quiet = run(sentence_folder, "-o", out, "--overwrite", "-q", "--device", "cpu")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert semvec.load_encoder(out).dim == 32


def test_what_is_refused(tmp_path: Path, sentence_folder: Path, glove_file: Path, static_folder: Path) -> None:
    out, empty = tmp_path / "m", tmp_path / "empty.txt"
    empty.write_text("\n")
    (tmp_path / "t.tsv").write_text("a\tb\n1\t2\n")
    (tmp_path / "bad.tsv").write_text("score\tsentence1\tsentence2\nhigh\ta\tb\n")
    refused(run("minlm", "-o", out), "no model 'minlm' (did you mean 'minilm'?)")
    refused(run(glove_file, "-o", out), "is a word model: only sentence and contextual ones can be distilled")
    refused(run(static_folder, "-o", out), "is a static model: only sentence and contextual ones can be distilled")
    refused(run(sentence_folder, "-o", out, "--dims", 33), "dims must be a whole number from 1 to 32")
    refused(run(sentence_folder, "-o", out, "--corpus", empty), "the corpus has no text")
    refused(run(sentence_folder, "-o", out, "--corpus", tmp_path / "no.txt"), "no.txt: no such file or folder")
    refused(
        run(sentence_folder, "-o", out, "--corpus", tmp_path / "t.tsv"),
        "no column called 'text'; --text-field names one of 'a', 'b'",
    )
    refused(run(sentence_folder, "-o", out, "--eval", tmp_path / "t.tsv"), "no column 'score' or 'sentence1' or 'sentence2'; there are 'a', 'b'")  # fmt: skip
    refused(run(sentence_folder, "-o", out, "--eval", tmp_path / "bad.tsv"), "bad.tsv, line 2: the score 'high' is not a number")
    refused(run(sentence_folder, "-o", tmp_path), "exists already; --overwrite replaces it")
    refused(run(sentence_folder, "-o", tmp_path, "--overwrite"), "exists and is no static model")
    refused(run(sentence_folder, "-o", tmp_path / "no" / "m"), "the folder", "does not exist")
    refused(run(sentence_folder, "-o", out, "--device", "tpu7"), "device 'tpu7' cannot be used")
    assert not out.exists()
    for flags in (["--text-field", "x"], ["--quiet", "--eval", tmp_path / "bad.tsv"]):
        done = run(sentence_folder, "-o", out, *flags)
        assert done.exit_code == 2
        assert "does nothing with" in done.stderr


def test_the_line_about_what_was_kept() -> None:
    student, teacher = PairQuality(Interval(0.81, 0.79, 0.83), 42000.4), PairQuality(Interval(0.9, 0.88, 0.91), 130)
    assert kept_line(student, teacher, 1500) == (
        "kept 90 % of the teacher's Spearman on 1,500 pairs: 0.810 [0.790, 0.830] against 0.900 [0.880, 0.910]; "
        "42,000 texts/s against 130 (323 times)"
    )
    worse = PairQuality(Interval(-0.1, -0.2, 0.1), 130)
    assert kept_line(student, worse, 9).startswith("Spearman on 9 pairs: 0.810")


@pytest.mark.parametrize("name", ["encode", "distill"])
def test_help_shows_examples(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert f"semvec {name} " in done.stdout
