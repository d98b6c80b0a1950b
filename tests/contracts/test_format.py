"""What every vectors format promises: what is written reads back equal, whole or not at all."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.embeddings.embeddings import Embeddings
from semvec.embeddings.formats.layout import MemoryPart, header_of
from semvec.embeddings.storage import FORMATS, files_of, format_of, read_embeddings, read_header, write_embeddings
from semvec.errors import FormatError, OutputError, OutputExists
from tests.sample import TEXTS

DTYPES = ["float32", "float16", "int8", "binary"]
SUFFIXES = list(FORMATS)


@pytest.fixture(scope="module")
def samples(sentence: Any) -> dict[str, Embeddings]:
    """Embeddings of many kinds: levels, number types, texts without rows, with and without ids."""
    texts = [*TEXTS, "", "same id % and space"]
    ids = [f"id {i}\t%ü中" for i in range(len(texts))]
    found = {
        f"{level}-{dtype}": sentence.encode(texts, level=level, dtype=dtype).with_ids(ids)
        for level in ("text", "token")
        for dtype in DTYPES
    }
    found["no-ids"] = sentence.encode(texts, level="word")
    found["special"] = sentence.encode(["", *texts], level="token", special=True)
    found["empty"] = sentence.encode([])
    found["no-rows"] = sentence.encode(["", ""], level="token")
    found["extremes"] = replace(
        found["text-float32"],
        vectors=np.resize(
            np.array([1e-38, -0.0, 1e38, 3.4028235e38, 1.1754944e-38, 1 / 3, 1e-45], np.float32),
            found["text-float32"].vectors.shape,
        ),
    )
    return found


NAMES = [
    *(f"{level}-{dtype}" for level in ("text", "token") for dtype in DTYPES),
    "no-ids",
    "special",
    "empty",
    "no-rows",
    "extremes",
]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", NAMES)
def test_reads_back_equal(tmp_path: Path, samples: dict[str, Embeddings], suffix: str, name: str) -> None:
    written = samples[name]
    path = tmp_path / f"out{suffix}"
    write_embeddings(written, path)
    found = read_embeddings(path)
    assert found == written
    assert found.fingerprint.model == written.fingerprint.model
    assert read_header(path) == header_of(written)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["text-int8", "token-float32", "special"])
def test_parts_make_the_file_of_the_whole(tmp_path: Path, samples: dict[str, Embeddings], suffix: str, name: str) -> None:
    whole = samples[name]
    cuts = [0, 3, 3, 4, 11, len(whole)]
    parts = [MemoryPart(whole.slice(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    format_of(f"x{suffix}").write(tmp_path / f"x{suffix}", header_of(whole), parts)
    assert read_embeddings(tmp_path / f"x{suffix}") == whole


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_vectors_make_equal_bytes(tmp_path: Path, samples: dict[str, Embeddings], suffix: str) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        write_embeddings(samples["token-float32"], tmp_path / name / f"x{suffix}")
    for one in files_of(tmp_path / "a" / f"x{suffix}"):
        assert one.exists() == (tmp_path / "b" / one.name).exists()
        assert not one.exists() or one.read_bytes() == (tmp_path / "b" / one.name).read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_a_format_error(tmp_path: Path, samples: dict[str, Embeddings], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write_embeddings(samples["text-float32"], path)
    for victim in [file for file in files_of(path) if file.exists()]:
        content = victim.read_bytes()
        for damage in (b"", content[: len(content) // 2], b"garbage" * 50):
            victim.write_bytes(damage)
            with pytest.raises(FormatError) as caught:
                read_embeddings(path)
            assert "x" + suffix in str(caught.value)
        victim.unlink()
        with pytest.raises(FormatError):
            read_embeddings(path)
        victim.write_bytes(content)
    assert read_embeddings(path) == samples["text-float32"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, samples: dict[str, Embeddings], suffix: str) -> None:
    class Broken(MemoryPart):
        def array(self, name: str) -> Any:
            if name == "vectors":
                raise OSError(28, "No space left on device")
            return super().array(name)

    path = tmp_path / f"x{suffix}"
    with pytest.raises(OutputError, match="the disk is full"):
        format_of(path).write(path, header_of(samples["no-ids"]), [Broken(samples["no-ids"])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_there_is_not_replaced_unasked(tmp_path: Path, samples: dict[str, Embeddings], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write_embeddings(samples["text-float32"], path)
    with pytest.raises(OutputExists, match="--overwrite"):
        write_embeddings(samples["no-ids"], path)
    assert read_embeddings(path) == samples["text-float32"]
    write_embeddings(samples["no-ids"], path, overwrite=True)
    assert read_embeddings(path) == samples["no-ids"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_newer_version_is_refused(
    tmp_path: Path, samples: dict[str, Embeddings], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr("semvec.embeddings.formats.layout.VERSION", 2)
        write_embeddings(samples["no-ids"], path)
    with pytest.raises(FormatError, match="version 2"):
        read_embeddings(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flipped_byte_gets_past_the_format_errors(tmp_path: Path, samples: dict[str, Embeddings], suffix: str) -> None:
    path, chance = tmp_path / f"x{suffix}", random.Random(0)
    write_embeddings(samples["no-ids"], path)
    whole = {file: file.read_bytes() for file in files_of(path) if file.exists()}
    refused = 0
    for _ in range(60):
        victim = chance.choice(list(whole))
        content = bytearray(whole[victim])
        for _ in range(8):
            content[chance.randrange(len(content))] = chance.randrange(256)
        victim.write_bytes(content)
        try:
            read_embeddings(path)
        except FormatError:
            refused += 1
        victim.write_bytes(whole[victim])
    assert refused
    assert read_embeddings(path) == samples["no-ids"]
