"""What a user imports, and what that costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import semvec
from semvec.encoders.options import EncodeOptions, OptionChanges

HEAVY = ("torch", "gensim", "faiss", "umap", "sentence_transformers", "transformers", "numpy", "pyarrow")
SEMVEC = str(Path(sys.executable).parent / "semvec")


@pytest.mark.parametrize(
    "statement", ["import semvec", "from semvec_cli.main import main; main(['--help'], standalone_mode=False)"]
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    script = f"{statement}\nimport sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_word_encoder_needs_no_torch(glove_file: Path) -> None:
    script = (
        "import sys, semvec; e = semvec.load_encoder(sys.argv[1]); e.encode(['the bank']);"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers', 'umap', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(glove_file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in semvec.__all__:
        assert getattr(semvec, name) is not None
    assert set(semvec.__all__) <= set(dir(semvec))
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = semvec.nothing_here  # type: ignore[attr-defined]


def test_options_and_their_changes_agree() -> None:
    import dataclasses

    assert [field.name for field in dataclasses.fields(EncodeOptions)] == list(OptionChanges.__annotations__)
    described = EncodeOptions.__doc__ or ""
    assert all(f"``{field.name}``" in described for field in dataclasses.fields(EncodeOptions))


def test_every_error_stands_in_the_tree() -> None:
    import semvec.errors

    names = [name for name, value in vars(semvec.errors).items() if isinstance(value, type)]
    assert all(name in (semvec.errors.__doc__ or "") for name in names)
