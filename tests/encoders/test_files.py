"""Files of texts → a vectors file: resumed to the same bytes, refused when something changed, nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.shards import ShardWriter, unfinished
from semvec.embeddings.storage import files_of, read_embeddings
from semvec.encoders import blocks as blocks_module
from semvec.encoders.files import encode_files
from semvec.encoders.token_counts import count_files
from semvec.encoders.word import WordEncoder
from semvec.errors import FormatError, InputError, OptionError, OutputError, OutputExists, OverflowRefused, ResumeMismatch
from semvec.text.readers import ReadOptions
from tests.sample import TEXTS

SUFFIXES = [".npy", ".npz", ".parquet", ".safetensors", ".jsonl", ".vec", ".bin"]


def contents(path: Path) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes() for file in [*files_of(path), path.with_name(path.name + ".errors.jsonl")] if file.exists()
    }


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_TEXTS", 7)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"{text.strip()} {i}" for i, text in enumerate(TEXTS * 4)) + "\n", encoding="utf-8")
    return path


class Killed(BaseException):
    """Ends a run as a signal would, at a point of our choosing."""


def stopping_after(blocks: int) -> Any:
    seen: list[int] = []

    def progress(done: int, total: int | None) -> None:
        seen.append(done)  # a block's end is told twice: when it is encoded, and when it is on the disk
        if len(seen) - len(set(seen)) == blocks:
            raise Killed

    return progress


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("options", [{}, {"level": "word", "dtype": "float16"}, {"dtype": "int8"}])
def test_a_resumed_run_ends_with_the_same_bytes(
    tmp_path: Path, source: Path, word: WordEncoder, suffix: str, options: dict[str, Any]
) -> None:
    encoder = word.with_options(**options)
    whole, stopped = tmp_path / f"whole{suffix}", tmp_path / f"stopped{suffix}"
    report = encode_files([source], whole, encoder)
    assert (report.texts, report.skipped, report.resumed) == (64, 0, 0)
    for blocks in (1, 2, 3):
        with pytest.raises(Killed):
            encode_files([source], stopped, encoder, resume=True, progress=stopping_after(blocks))
        assert not stopped.exists()
        assert len(list(unfinished(stopped).glob("*.safetensors"))) >= blocks
    assert encode_files([source], stopped, encoder, resume=True).resumed == 42
    expected = {name.replace("whole", "stopped"): content for name, content in contents(whole).items()}
    assert contents(stopped) == expected
    assert not unfinished(stopped).exists()
    lines = source.read_text(encoding="utf-8").splitlines()
    found = read_embeddings(stopped)
    direct = encoder.encode(lines, calibration=found.calibration) if found.calibration else encoder.encode(lines)
    assert found == direct.with_ids([str(i + 1) for i in range(64)])


def test_a_transformer_too(tmp_path: Path, source: Path, sentence: Any) -> None:
    encode_files([source], tmp_path / "whole.npy", sentence)
    with pytest.raises(Killed):
        encode_files([source], tmp_path / "again.npy", sentence, progress=stopping_after(4))
    encode_files([source], tmp_path / "again.npy", sentence, resume=True)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    lines = source.read_text(encoding="utf-8").splitlines()
    np.testing.assert_allclose(read_embeddings(tmp_path / "again.npy").vectors, sentence.encode(lines).vectors, atol=1e-5)


def interrupted(path: Path, source: Path, encoder: Any, **options: Any) -> None:
    with pytest.raises(Killed):
        encode_files([source], path, encoder, progress=stopping_after(3), **options)


def test_a_changed_run_is_refused_and_says_what_changed(tmp_path: Path, source: Path, word: WordEncoder, sentence: Any) -> None:
    out = tmp_path / "x.npy"
    interrupted(out, source, word)
    kept = sorted(file.name for file in unfinished(out).iterdir())
    with pytest.raises(OutputExists, match="--resume goes on with it"):
        encode_files([source], out, word)
    with pytest.raises(ResumeMismatch, match=r"model level: \"text\" then, \"word\" now"):
        encode_files([source], out, word.with_options(level="word"), resume=True)
    with pytest.raises(ResumeMismatch, match=r"model .*weights"):
        encode_files([source], out, sentence, resume=True)
    with pytest.raises(ResumeMismatch, match="reading keep_blank: false then, true now"):
        encode_files([source], out, word, read=ReadOptions(keep_blank=True), resume=True)
    content = source.read_bytes()
    source.write_bytes(content + b"one more line\n")
    with pytest.raises(ResumeMismatch, match="input"):
        encode_files([source], out, word, resume=True)
    source.write_bytes(content)
    assert sorted(file.name for file in unfinished(out).iterdir()) == kept
    encode_files([source], out, word, resume=True)
    assert encode_files([source], out, word, resume=True).resumed == 64
    with pytest.raises(ResumeMismatch, match="made by another run"):
        encode_files([source], out, word.with_options(normalize=True), resume=True)
    with pytest.raises(OutputExists):
        encode_files([source], out, word)
    assert encode_files([source], out, word.with_options(normalize=True), overwrite=True).resumed == 0


def test_standard_input_is_checked_as_it_is_read_again(
    tmp_path: Path, source: Path, word: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    def feed(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    out = tmp_path / "x.npy"
    content = source.read_bytes()
    feed(content)
    interrupted(out, Path("-"), word)
    feed(b"other " + content)
    with pytest.raises(ResumeMismatch, match="came from another input"):
        encode_files(["-"], out, word, resume=True)
    feed(content)
    assert encode_files(["-"], out, word, resume=True).texts == 64


def test_a_bad_row_stops_and_keeps_what_is_done(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    good = source.read_bytes()
    lines = good.splitlines(keepends=True)
    source.write_bytes(b"".join([*lines[:20], b"na\xefve\n", *lines[21:]]))
    out = tmp_path / "x.npy"
    with pytest.raises(
        InputError, match=r"texts\.txt, line 21: not UTF-8: byte 0xef at position 2; .*14 texts are done and kept, --resume"
    ):
        encode_files([source], out, word)
    assert not out.exists()
    source.write_bytes(good)  # mended: the run may go on although the file changed
    assert encode_files([source], out, word, resume=True).resumed == 14
    encode_files([source], tmp_path / "y.npy", word)
    assert out.read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_a_mended_file_must_still_begin_the_same(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join([*lines[:20], b"\n", *lines[21:]]))
    with pytest.raises(InputError, match="line 21: the row is empty"):
        encode_files([source], tmp_path / "x.npy", word)
    source.write_bytes(b"".join([b"something else\n", *lines[1:]]))
    with pytest.raises(ResumeMismatch, match="14 texts done so far came from another input"):
        encode_files([source], tmp_path / "x.npy", word, resume=True)


def test_a_bad_row_at_the_start_leaves_nothing_behind(tmp_path: Path, word: WordEncoder) -> None:
    (tmp_path / "a.txt").write_text("one\n\n")
    with pytest.raises(InputError, match="line 2"):
        encode_files([tmp_path / "a.txt"], tmp_path / "x.npy", word)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_skipping_lists_every_bad_row(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    lines[3], lines[30], lines[31] = b"\n", b"\xff\n", b"a\0b\n"
    source.write_bytes(b"".join([*lines, b" \n", b"\n"]))
    out = tmp_path / "x.npy"
    interrupted(out, source, word, on_error="skip")
    report = encode_files([source], out, word, on_error="skip", resume=True)
    assert (report.texts, report.skipped) == (61, 5)
    errors = [json.loads(line) for line in (tmp_path / "x.npy.errors.jsonl").read_text().splitlines()]
    assert [(error["line"], error["reason"].split(":")[0].split(" (")[0]) for error in errors] == [
        (4, "the row is empty"), (31, "not UTF-8"), (32, "NUL character at position 1"), (65, "the row is blank"), (66, "the row is empty"),
    ]  # fmt: skip
    assert all(error["source"] == str(source) for error in errors)
    ids = read_embeddings(out).ids
    assert ids is not None
    assert [int(name) for name in ids] == [i for i in range(1, 65) if i not in (4, 31, 32)]


def test_nothing_to_encode(tmp_path: Path, word: WordEncoder) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "header.csv").write_text("text\n")
    (tmp_path / "blank.txt").write_text("\n\n")
    for name, complaint in (
        ("empty.txt", "holds no texts, it is empty"),
        ("header.csv", "holds no texts"),
        ("blank.txt", r"no text that can be encoded \(2 bad rows\)"),
    ):
        with pytest.raises(InputError, match=complaint):
            encode_files([tmp_path / name], tmp_path / "x.npy", word, on_error="skip")
        assert not (tmp_path / "x.npy").exists()
        assert not unfinished(tmp_path / "x.npy").exists()


def test_texts_too_long_under_overflow_error(tmp_path: Path, source: Path, sentence: Any) -> None:
    with source.open("a") as stream:
        stream.write("word " * 200 + "\nlast\n")
    encoder = sentence.with_options(overflow="error")
    with pytest.raises(OverflowRefused, match=r"texts\.txt, line 65: .* tokens where the model reads 62.*63 texts are done"):
        encode_files([source], tmp_path / "x.npy", encoder)
    report = encode_files([source], tmp_path / "x.npy", encoder, resume=True, on_error="skip")
    assert (report.texts, report.skipped, report.resumed) == (65, 1, 63)
    whole = encode_files([source], tmp_path / "y.npy", encoder, on_error="skip")
    assert whole.texts == 65
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_what_was_cut_is_counted(tmp_path: Path, sentence: Any) -> None:
    (tmp_path / "a.txt").write_text("short\n" + "word " * 200 + "\n")
    report = encode_files([tmp_path / "a.txt"], tmp_path / "x.npy", sentence)
    counts = count_files([tmp_path / "a.txt"], sentence)
    found = sentence.encode(["short", "word " * 200])
    assert (report.texts_cut, report.tokens_cut, report.tokens) == (1, found.n_truncated[1], found.n_tokens.sum())
    assert (counts.texts_cut, counts.tokens_cut, counts.tokens) == (1, found.n_truncated[1], found.n_tokens.sum())
    assert (counts.least, counts.most, counts.median) == (found.n_tokens[0], found.n_tokens[1], found.n_tokens[0])


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with ShardWriter.open(tmp_path / "x.npy", {"a": 1}), pytest.raises(OutputError, match="another process is writing"):
        ShardWriter.open(tmp_path / "x.npy", {"a": 1}, resume=True)


def test_spans_cannot_come_from_files(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    with pytest.raises(OptionError, match="span"):
        encode_files([source], tmp_path / "x.npy", word.with_options(level="span"))


def test_a_full_disk_is_one_clear_error(tmp_path: Path, source: Path, glove_file: Path) -> None:
    """RLIMIT_FSIZE makes every write beyond a size fail, as a full disk does."""
    script = (
        "import resource, sys; from semvec.encoders import blocks; blocks.BLOCK_TEXTS = 7\n"
        "import semvec; e = semvec.load_encoder(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)\n"
        "semvec.encode_files([sys.argv[2]], sys.argv[3], e, resume=True)\n"
    )
    out = tmp_path / "x.npy"
    for limit in (900, 6000):  # no shard fits; shards fit, but the whole does not
        done = subprocess.run(
            [sys.executable, "-c", script, str(glove_file), str(source), str(out), str(limit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "OutputError" in done.stderr.splitlines()[-1]
        assert "cannot be written" in done.stderr.splitlines()[-1]
        assert not out.exists()
    subprocess.run([sys.executable, "-c", script, str(glove_file), str(source), str(out), "-1"], check=True)
    assert read_embeddings(out).rows == 64


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path, glove_file: Path) -> None:
    source = tmp_path / "many.txt"
    source.write_text("".join(f"the bank of the river number {i} in Paris\n" for i in range(3000)))
    script = (
        "import sys; from semvec.encoders import blocks; blocks.BLOCK_TEXTS = 50\n"
        "import semvec; semvec.encode_files([sys.argv[2]], sys.argv[3], semvec.load_encoder(sys.argv[1]), resume=True)\n"
    )

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script, str(glove_file), str(source), str(out)])

    began = time.monotonic()
    assert start(tmp_path / "whole.npy").wait() == 0
    length = time.monotonic() - began
    random_moments = random.Random(5)
    kills = 0
    for round_ in range(4):
        out = tmp_path / f"killed{round_}.npy"
        while True:
            run = start(out)
            try:
                run.wait(random_moments.uniform(0.2, 1.0) * length)
            except subprocess.TimeoutExpired:
                os.kill(run.pid, signal.SIGKILL)
                run.wait()
                kills += 1
                assert not out.exists() or out.read_bytes() == (tmp_path / "whole.npy").read_bytes()
            else:
                assert run.returncode == 0
                break
        for one, other in zip(files_of(tmp_path / "whole.npy"), files_of(out), strict=True):
            assert one.read_bytes() == other.read_bytes()
        assert not unfinished(out).exists()
    assert kills


def test_what_is_left_of_a_finished_run_is_cleared_away(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    out = tmp_path / "x.npy"
    encode_files([source], out, word)
    interrupted(out, source, word, overwrite=True)
    before = out.read_bytes()
    assert encode_files([source], out, word, resume=True).resumed == 64
    assert out.read_bytes() == before
    assert not unfinished(out).exists()
    unfinished(out).mkdir()  # as a run killed while it cleared its shards away leaves it: without a manifest
    (unfinished(out) / "00000003.safetensors").write_bytes(b"")
    assert encode_files([source], out, word, resume=True).resumed == 64
    assert not unfinished(out).exists()
    other = word.with_options(normalize=True)
    assert encode_files([source], out, other, resume=True, overwrite=True).resumed == 0
    assert read_embeddings(out).fingerprint == other.fingerprint


def test_clearing_away_that_was_cut_short_leaves_nothing_to_resume(
    tmp_path: Path, source: Path, word: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.npy"
    encode_files([source], tmp_path / "whole.npy", word)
    for cleared in range(1, 6):
        interrupted(out, source, word, overwrite=True)
        unlink, left = Path.unlink, [cleared]

        def dying(self: Path, missing_ok: bool = False, unlink: Any = unlink, left: list[int] = left) -> None:
            if self.suffix in (".safetensors", ".json") and self.parent.name.endswith(".part"):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
            unlink(self, missing_ok=missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dying)
            with pytest.raises(Killed):
                encode_files([source], out, word, overwrite=True, progress=stopping_after(1))
        assert encode_files([source], out, word, resume=True).texts == 64
        assert out.read_bytes() == (tmp_path / "whole.npy").read_bytes()
        out.unlink()


def test_a_missing_shard_is_noticed(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    out = tmp_path / "x.npy"
    interrupted(out, source, word)
    (unfinished(out) / "00000001.safetensors").unlink()
    with pytest.raises(FormatError, match=r"00000001\.safetensors is missing"):
        encode_files([source], out, word, resume=True)
    (unfinished(out) / "job.json").write_text("{broken")
    with pytest.raises(FormatError, match=r"job\.json: damaged"):
        encode_files([source], out, word, resume=True)
    assert encode_files([source], out, word, overwrite=True).texts == 64


def test_every_option_belongs_to_the_job(tmp_path: Path, source: Path, sentence: Any) -> None:
    out = tmp_path / "x.npy"
    encoder = sentence.with_options(level="token")
    interrupted(out, source, encoder)
    for changes, complaint in (
        ({"special": True}, "run special: false then, true now"),
        ({"batch_tokens": 99}, "run batch_tokens: null then, 99 now"),
    ):
        with pytest.raises(ResumeMismatch, match=complaint):
            encode_files([source], out, encoder.with_options(**changes), resume=True)
    source.write_bytes(source.read_bytes() + b"more\n")
    with pytest.raises(ResumeMismatch, match=r"input .*texts\.txt bytes: \d+ then, \d+ now"):
        encode_files([source], out, encoder, resume=True)
    assert encode_files([source], out, encoder, resume=True, overwrite=True).resumed == 0


def test_many_bad_rows_close_blocks(tmp_path: Path, word: WordEncoder) -> None:
    path = tmp_path / "a.txt"
    path.write_text("bank\n" + "\n" * 100 + "river\n")
    shards = unfinished(tmp_path / "x.npy")

    def progress(done: int, total: int | None) -> None:
        if len(list(shards.glob("*.safetensors"))) == 4:
            raise Killed

    with pytest.raises(Killed):
        encode_files([path], tmp_path / "x.npy", word, on_error="skip", progress=progress)
    report = encode_files([path], tmp_path / "x.npy", word, on_error="skip", resume=True)
    assert (report.texts, report.skipped) == (2, 100)
    assert len((tmp_path / "x.npy.errors.jsonl").read_text().splitlines()) == 100


def test_a_finished_run_does_not_clear_away_another(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    out = tmp_path / "x.npy"
    encode_files([source], out, word)
    interrupted(out, source, word.with_options(normalize=True), overwrite=True)
    assert encode_files([source], out, word, resume=True).resumed == 64
    assert len(list(unfinished(out).glob("*.safetensors"))) == 3


def test_pipes_are_read_once(tmp_path: Path, glove_file: Path) -> None:
    program = str(Path(sys.executable).parent / "semvec")
    shell = f"{program} encode <(printf 'the bank\\nriver\\n') -o {tmp_path / 'x.npy'} -m {glove_file}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "2 texts → 2 vectors" in done.stdout, done.stderr


def test_names_that_are_not_utf8(tmp_path: Path, word: WordEncoder) -> None:
    (tmp_path / "d").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "d") + b"/na\xefve.txt")).write_text("the bank")
    with pytest.raises(InputError, match="the name of the file: not UTF-8"):
        encode_files([tmp_path / "d"], tmp_path / "x.npy", word)


def test_what_a_link_leads_to_is_not_written_over(tmp_path: Path, word: WordEncoder) -> None:
    data, link = tmp_path / "data.jsonl", tmp_path / "latest.jsonl"
    data.write_text('{"text": "the only copy"}\n')
    link.symlink_to(data)
    for one, other in ((data, link), (link, data)):
        with pytest.raises(InputError, match="is what would be written"):
            encode_files([one], other, word, overwrite=True)
    assert data.read_text() == '{"text": "the only copy"}\n'


@pytest.mark.parametrize("name", ["x.npy.json", "x.npy.rows.parquet", "x.npy.errors.jsonl"])
def test_files_beside_an_output_are_not_replaced_unasked(tmp_path: Path, source: Path, word: WordEncoder, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExists, match=name):
        encode_files([source], tmp_path / "x.npy", word)
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_folder_of_somebody_else_stays(tmp_path: Path, source: Path, word: WordEncoder, options: Any) -> None:
    folder = tmp_path / "x.npy.part"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match=r"holds what no run wrote \(mine.txt\)"):
        encode_files([source], tmp_path / "x.npy", word, **options)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_the_advice_goes_on_with_a_run_that_replaces_another(tmp_path: Path, source: Path, word: WordEncoder) -> None:
    out = tmp_path / "x.npy"
    encode_files([source], out, word.with_options(normalize=True))
    interrupted(out, source, word, overwrite=True)
    with pytest.raises(ResumeMismatch, match="--resume --overwrite goes on with the unfinished one"):
        encode_files([source], out, word, resume=True)
    assert 0 < encode_files([source], out, word, resume=True, overwrite=True).resumed < 64
