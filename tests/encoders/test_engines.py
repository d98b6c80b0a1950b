"""Models run by OpenVINO and by onnxruntime: what transformers gives, at every layer."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from semvec.encoders.backends import engines
from semvec.encoders.backends.choose import Runners
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.errors import MissingExtra, ModelError, OptionError
from semvec.types import Backend
from tests.sample import TEXTS

ENGINES = {"openvino": "openvino", "onnx": "onnxruntime"}


def engine(name: str) -> str:
    pytest.importorskip(ENGINES[name], exc_type=ImportError)
    return name


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("options", [{}, {"level": "token", "layers": [0, 1, -1], "layer_mix": "concat"}])
def test_openvino_is_as_transformers(contextual: dict[str, ContextualEncoder], kind: str, options: dict[str, object]) -> None:
    theirs, own = (contextual[kind].encode(TEXTS, backend=name, **options) for name in ("torch", engine("openvino")))  # type: ignore[arg-type]
    np.testing.assert_allclose(own.vectors, theirs.vectors, atol=2e-5 * max(1, float(np.abs(theirs.vectors).max())))
    assert own.fingerprint == theirs.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_onnx_is_as_transformers(contextual: dict[str, ContextualEncoder], kind: str) -> None:
    for options in ({}, {"level": "token", "layers": "all", "layer_mix": "concat"}):
        theirs, own = (contextual[kind].encode(TEXTS, backend=name, **options) for name in ("torch", engine("onnx")))  # type: ignore[arg-type]
        np.testing.assert_allclose(own.vectors, theirs.vectors, atol=2e-5 * max(1, float(np.abs(theirs.vectors).max())))


def test_sentence_vectors(sentence: SentenceEncoder) -> None:
    expected = sentence.encode(TEXTS, backend="torch").vectors
    np.testing.assert_allclose(sentence.encode(TEXTS, backend=engine("openvino"), batch_tokens=30).vectors, expected, atol=1e-5)


def test_what_an_engine_pads_keeps_to_the_budget(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = sentence.with_options(backend=engine("openvino"))._runner
    assert runner is not None
    sizes: list[tuple[int, int]] = []
    batch = sentence.transformer.batch

    def seen(ids: list[list[int]], shape: tuple[int, int] | None = None) -> object:
        sizes.append((len(ids), max(map(len, ids))))
        return batch(ids, shape)

    monkeypatch.setattr(sentence.transformer, "batch", seen)
    sentence.encode(["the river bank " * 15, *(f"bank {at}" for at in range(40))], backend="openvino", batch_tokens=64)
    assert all(rows * length <= 64 or rows == 1 for rows, length in sizes)
    assert len(sizes) > 3


def test_an_engine_that_is_not_there(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "_runners", Runners(sentence.transformer))
    for name, library in ENGINES.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(MissingExtra, match=rf'backend {name} needs its library .*: pip install "semvec\[{name}\]"'):
            sentence.encode(TEXTS, backend=name)


def test_what_an_engine_cannot_do(
    sentence: SentenceEncoder, contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = engine("openvino")
    its = contextual["bert"].transformer
    monkeypatch.setitem(its.__dict__, "may_pad", False)
    monkeypatch.setattr(contextual["bert"], "_runners", Runners(its))
    with pytest.raises(OptionError, match="backend 'openvino' pads, which changes the vectors of this model"):
        contextual["bert"].encode(TEXTS, backend=name)
    with pytest.raises(OptionError, match="deterministic goes with backend 'torch'"):
        sentence.encode(TEXTS, backend=name, deterministic=True)

    def broken(model: object) -> engines.Infer:
        raise RuntimeError("an operation is not there\nand more")

    monkeypatch.setitem(engines._ENGINES, Backend.OPENVINO, (("openvino",), broken))
    monkeypatch.setattr(sentence, "_runners", Runners(sentence.transformer))
    with pytest.raises(ModelError, match=r"openvino cannot run this model \(RuntimeError: an operation is not there\)"):
        sentence.encode(TEXTS, backend=name)


def test_an_engine_that_gives_other_vectors_is_refused(sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    name = engine("openvino")
    convert = engines._ENGINES[Backend.OPENVINO][1]

    def wrong(model: object) -> engines.Infer:
        infer = convert(model)
        return lambda ids, mask: [its * 1.01 for its in infer(ids, mask)]

    def broken(ids: object, mask: object) -> list[np.ndarray]:
        raise RuntimeError("out of its depth")

    monkeypatch.setitem(engines._ENGINES, Backend.OPENVINO, (("openvino",), lambda model: broken))
    monkeypatch.setattr(sentence, "_runners", Runners(sentence.transformer))
    with pytest.raises(ModelError, match=r"openvino cannot run this model \(RuntimeError: out of its depth\)"):
        sentence.encode(TEXTS, backend=name)
    monkeypatch.setitem(engines._ENGINES, Backend.OPENVINO, (("openvino",), wrong))
    monkeypatch.setattr(sentence, "_runners", Runners(sentence.transformer))
    with pytest.raises(ModelError, match="by openvino the vectors are 0.01 from those of transformers"):
        sentence.encode(TEXTS, backend=name)
