"""The commands as a shell runs them: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import semvec
from semvec_cli.main import COMMANDS, main

PROGRAM = str(Path(sys.executable).parent / "semvec")


def run(*args: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def refused(result: Result, *words: str) -> None:
    """The result is one line of error and exit code 2, with no traceback."""
    assert result.exit_code == 2, result.output
    assert not result.stdout
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in last


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text("the bank of the river\nParis\nzyxxy\n")
    return path


def test_encode_and_inspect(tmp_path: Path, texts: Path, glove_file: Path) -> None:
    done = run("encode", texts, "-o", tmp_path / "x.npy", "-m", glove_file)
    assert done.exit_code == 0
    assert "3 texts → 3 vectors of 4 (float32)" in done.stdout
    assert "no text cut, 7 tokens read" in done.stdout
    assert "1 rows are zeros" in done.stdout
    assert not done.stderr
    found = semvec.read_embeddings(tmp_path / "x.npy")
    assert found == semvec.load_encoder(glove_file).encode(texts.read_text().splitlines()).with_ids(["1", "2", "3"])
    shown = run("inspect", tmp_path / "x.npy").stdout
    assert "3 texts, 3 vectors of 4 (float32), level text" in shown
    assert "'the bank of the river'" in shown
    header = json.loads(run("inspect", tmp_path / "x.npy", "--json").stdout)
    assert header["fingerprint"]["weights"] == found.fingerprint.weights


def test_the_summary_says_what_was_cut(tmp_path: Path, sentence_folder: Path) -> None:
    (tmp_path / "t.txt").write_text("short\n" + "word " * 300 + "\n")
    done = run("encode", tmp_path / "t.txt", "-o", tmp_path / "x.npy", "-m", sentence_folder, "--device", "cpu")
    assert "1 of 2 texts cut, " in done.stdout
    dry = run("encode", tmp_path / "t.txt", "-m", sentence_folder, "--dry-run", "--device", "cpu")
    assert "1 of 2 texts cut, " in dry.stdout
    assert "2 vectors of 32 (float32) to make, 0.0 MB" in dry.stdout
    assert "nothing was written" in dry.stdout
    quiet = run(
        "encode",
        tmp_path / "t.txt",
        "-o",
        tmp_path / "y.npy",
        "-m",
        sentence_folder,
        "-q",
        "--overflow",
        "windows",
        "--device",
        "cpu",
    )
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert semvec.read_embeddings(tmp_path / "y.npy").n_truncated.tolist() == [0, 0]


def test_every_option_reaches_the_encoder(tmp_path: Path, texts: Path, folders: dict[str, Path]) -> None:
    out = tmp_path / "x.parquet"
    flags = "--level word --layers -2: --layer-mix concat --subword first --overflow windows --max-tokens 32 --normalize --truncate-dim 8 --dtype float16 --device cpu"
    assert (
        run(
            "encode", texts, "-o", out, "-m", folders["bert"], *flags.split(), "--batch-tokens", "64", "--deterministic"
        ).exit_code
        == 0
    )
    found = semvec.read_embeddings(out)
    encoder = semvec.load_encoder(
        folders["bert"], level="word", layers="-2:", layer_mix="concat", subword="first", overflow="windows", max_tokens=32,
        normalize=True, truncate_dim=8, dtype="float16", device="cpu",
    )  # fmt: skip
    assert found.fingerprint == encoder.fingerprint
    np.testing.assert_allclose(found.vectors, encoder.encode(texts.read_text().splitlines()).vectors, atol=2e-3)
    run(
        "encode",
        texts,
        "-o",
        tmp_path / "c.npy",
        "-m",
        folders["bert"],
        "--level",
        "chunk",
        "--chunk-by",
        "sentences",
        "--chunk-tokens",
        "9",
        "--chunk-overlap",
        "2",
        "--late",
    )
    chunks = semvec.read_embeddings(tmp_path / "c.npy").fingerprint.settings
    assert [chunks[name] for name in ("chunk_by", "chunk_tokens", "chunk_overlap", "late")] == ["sentences", 9, 2, True]
    run(
        "encode",
        texts,
        "-o",
        tmp_path / "s.npy",
        "-m",
        folders["bert"],
        "--level",
        "token",
        "--special",
        "--prompt",
        "a ",
        "--family",
        "contextual",
    )
    tokens = semvec.read_embeddings(tmp_path / "s.npy")
    assert tokens.special.sum() == 6
    assert tokens.fingerprint.settings["prompt"] == "a "
    assert semvec.read_embeddings(out).fingerprint.settings["window_overlap"] == "a quarter"
    job = json.loads(run("inspect", out, "--json").stdout)["job"]["run"]
    assert (job["batch_tokens"], job["deterministic"], job["device"]) == (64, True, "cpu")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--late"], "--late does nothing without --level chunk"),
        (["--special", "--level", "word"], "--special does nothing without --level token"),
        (["--subword", "first"], "--subword does nothing without --level word"),
        (["--window-overlap", "3"], "--window-overlap does nothing without --overflow windows"),
        (["--text-field", "x"], "has no columns"),
        (["-m", "minilm", "--family", "word"], "minilm is a sentence model"),
        (["-m", "glove-50d", "--device", "cuda"], "looked up on the cpu"),
    ],
)
def test_options_that_would_do_nothing(tmp_path: Path, texts: Path, flags: list[str], words: str) -> None:
    refused(run("encode", texts, "-o", tmp_path / "x.npy", *flags), words)


def test_the_input_is_never_the_output(tmp_path: Path, glove_file: Path) -> None:
    path = tmp_path / "io.jsonl"
    path.write_text('{"text": "the bank"}\n')
    refused(run("encode", path, "-o", path, "-m", glove_file, "--overwrite"), "is what would be written")
    assert path.read_text() == '{"text": "the bank"}\n'
    refused(run("encode", path, path, "-o", tmp_path / "x.npy", "-m", glove_file), "named already")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("the bank")
    for _ in range(2):
        done = run("encode", folder, "-o", folder / "out.npy", "-m", glove_file, "--overwrite")
        assert done.exit_code == 0, done.output
    assert len(semvec.read_embeddings(folder / "out.npy")) == 1


def test_other_delimiters(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "semi.csv").write_text("text;id\nthe bank;x\n")
    refused(run("encode", tmp_path / "semi.csv", "-o", tmp_path / "x.npy", "-m", glove_file), "--delimiter ';'")
    assert run("encode", tmp_path / "semi.csv", "-o", tmp_path / "x.npy", "-m", glove_file, "--delimiter", ";").exit_code == 0
    assert semvec.read_embeddings(tmp_path / "x.npy").ids.tolist() == ["x"]  # type: ignore[union-attr]


def test_as_query(tmp_path: Path, texts: Path, sentence_folder: Path) -> None:
    run("encode", texts, "-o", tmp_path / "q.npy", "-m", sentence_folder, "--as", "query")
    run("encode", texts, "-o", tmp_path / "d.npy", "-m", sentence_folder, "--as", "document")
    assert semvec.read_embeddings(tmp_path / "q.npy").fingerprint.settings["prompt"] == "query: "
    assert semvec.read_embeddings(tmp_path / "d.npy").fingerprint.settings["prompt"] == "passage: "


def test_standard_input(tmp_path: Path, glove_file: Path) -> None:
    done = run(
        "encode", "-", "-o", tmp_path / "x.npy", "-m", glove_file, "--format", "jsonl", stdin=b'{"id": "a", "text": "bank"}\n'
    )
    assert done.exit_code == 0
    assert semvec.read_embeddings(tmp_path / "x.npy").ids.tolist() == ["a"]  # type: ignore[union-attr]


BAD = {
    "not-utf8.txt": (b"one\nna\xefve\n", [], ["not-utf8.txt, line 2: not UTF-8: byte 0xef at position 2", "--on-error skip"]),
    "nul.txt": (b"one\na\0b\n", [], ["line 2: NUL character at position 1"]),
    "long.txt": (
        b"one\n" + b"x" * 10_000_000 + b"\n",
        [],
        ["line 2: 10,000,000 characters, over the limit of 4,000,000", "--max-chars"],
    ),
    "endless.txt": (b"one\n" + b"x" * 17_000_000 + b"\n", [], ["line 2: the row is longer than 4,000,000 characters"]),
    "empty.txt": (b"", [], ["empty.txt: holds no texts, it is empty"]),
    "blank.txt": (b"one\n\ntwo\n", [], ["line 2: the row is empty"]),
    "blanks.txt": (b"one\n  \ntwo\n", [], ["line 2: the row is blank"]),
    "null.jsonl": (b'{"text": "a"}\n{"text": null}\n', [], ["line 2: the text is null"]),
    "number.jsonl": (b'{"text": 3}\n', [], ["line 1: the text is not a string but int (3)"]),
    "broken.jsonl": (b"{oops\n", [], ["line 1: not JSON"]),
    "column.csv": (b"title,body text\na,b\n", [], ["no column called 'text'", "'title', 'body text'"]),
    "column2.csv": (b"title,text\na,b\n", ["--text-field", "txt"], ["no column 'txt'", "'title', 'text'"]),
    "twice.csv": (b"id,text\na,x\na,y\n", [], ["line 3: id 'a' stands already at", "twice.csv, line 2"]),
    "header.csv": (b'id,"text\na,b\n', [], ["header.csv: its first line is no header of a table"]),
    "huge.txt": (b"one\n\n", ["--max-chars", "99999999999999999999"], ["line 2: the row is empty"]),
    "ragged.csv": (b"id,text\na\n", [], ["line 2: 1 cells where the header has 2"]),
    "foreign.parquet": (b"not parquet", [], ["foreign.parquet: not a Parquet file"]),
    "cut.txt.gz": (b"\x1f\x8b\x08\x00broken", [], ["cut.txt.gz: damaged"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path: Path, glove_file: Path, name: str) -> None:
    content, flags, words = BAD[name]
    (tmp_path / name).write_bytes(content)
    refused(run("encode", tmp_path / name, "-o", tmp_path / "x.npy", "-m", glove_file, *flags), *words)
    assert sorted(file.name for file in tmp_path.iterdir()) == [name]


def test_bom_and_crlf_are_fine(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.csv").write_bytes("\ufeffid,text\r\na,bank\r\nb,the river\r\n".encode())
    assert run("encode", tmp_path / "t.csv", "-o", tmp_path / "x.npy", "-m", glove_file).exit_code == 0
    assert semvec.read_embeddings(tmp_path / "x.npy").surface.tolist() == ["bank", "the river"]


def test_bad_outputs(tmp_path: Path, texts: Path, glove_file: Path) -> None:
    refused(run("encode", texts, "-m", glove_file), "-o OUT")
    refused(run("encode", texts, "-m", glove_file, "-o", tmp_path / "x.txt"), ".txt; choose from .npy")
    refused(run("encode", texts, "-m", glove_file, "-o", tmp_path / "no" / "x.npy"), "does not exist")
    (tmp_path / "x.npy").write_text("precious")
    refused(run("encode", texts, "-m", glove_file, "-o", tmp_path / "x.npy"), "exists already; --overwrite")
    refused(run("encode", texts, "-m", glove_file, "-o", tmp_path / "x.npy", "--resume"), "not made by a run that could go on")
    assert (tmp_path / "x.npy").read_text() == "precious"
    if os.geteuid():
        tmp_path.chmod(0o500)
        refused(run("encode", texts, "-m", glove_file, "-o", tmp_path / "y.npy"), "no permission")


def test_bad_models_and_options(tmp_path: Path, texts: Path, glove_file: Path, folders: dict[str, Path]) -> None:
    out = ("-o", tmp_path / "x.npy")
    refused(run("encode", texts, *out, "-m", "no-such-model"), "no model 'no-such-model'", "tried")
    refused(run("encode", texts, *out, "-m", tmp_path), "no model that semvec knows")
    (tmp_path / "pickle").write_bytes(b"\x80\x04.")
    refused(run("encode", texts, *out, "-m", tmp_path / "pickle"), "--trust-pickle")
    refused(run("encode", texts, *out, "-m", tmp_path / "pickle", "--trust-pickle"), "cannot be read as gensim")
    refused(run("encode", texts, *out, "--pooling", "maen"), "'maen' is not one of", "weighted_mean")
    refused(run("encode", texts, *out, "-m", folders["bert"], "--layers", "99"), "layers 99 are not among 0 … 3")
    refused(run("encode", texts, *out, "-m", glove_file, "--layers", "all"), "layers: of no use")
    refused(run("encode", texts, *out, "-m", folders["bert"], "--device", "nowhere"), "device 'nowhere' cannot be used")
    refused(run("encode", tmp_path / "absent.txt", *out), "no such file or folder")
    refused(run("inspect", tmp_path / "absent.npy"), "no such file")
    refused(run("inspect", texts), "choose from")
    refused(run("enc"), "did you mean 'encode'")
    assert not (tmp_path / "x.npy").exists()


def test_models_lists_what_is_here() -> None:
    listed = {model["name"]: model for model in json.loads(run("models", "--json").stdout)}
    assert listed["minilm"]["place"] == "package"
    assert listed["gpt2"]["place"] == ""
    assert "glove-50d" in run("models").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode"], ["Missing argument", "semvec encode --help"]),
        (["encode", "x", "--pooling", "maen"], ["'maen' is not one of 'mean', 'cls'"]),
        (["encode", "x", "--bogus"], ["--bogus"]),
        (["enc"], ["did you mean 'encode'"]),
        (["encode", "absent.txt", "-o", "x.npy"], ["absent.txt: no such file or folder"]),
    ],
)
def test_an_error_is_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words)


def test_without_arguments_it_helps() -> None:
    done = subprocess.run([PROGRAM], capture_output=True, text=True, check=True)
    assert "Exit codes:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"semvec {command}" in done.stdout.split("Examples:")[1]


def test_a_closed_pipe_is_no_error(texts: Path, glove_file: Path, tmp_path: Path) -> None:
    shell = f"{sys.executable} -c 'from semvec_cli.main import run; run()' models | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", ["--help", "--version", "encode --help", "models"])
def test_a_full_disk_is_one_line(arguments: str) -> None:
    shell = f"{sys.executable} -c 'from semvec_cli.main import run; run()' {arguments} > /dev/full"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: No space left on device\n")


def test_every_command_and_option_stands_in_a_section() -> None:
    import semvec_cli.main as program

    assert sorted(name for names in program.SECTIONS.values() for name in names) == sorted(COMMANDS)
    for command in ("encode", "visualise", "serve"):
        shown = run(command, "--help").stdout
        made = main.get_command(click.Context(main), command)
        assert made is not None
        for option in made.params:
            if isinstance(option, click.Option):
                assert shown.count(f"{option.opts[-1]} ") + shown.count(f"{option.opts[-1]}\n") >= 1, option.opts
    assert "Exit codes" in run("--help").stdout
