"""Labels without examples: nearest descriptions by numpy, gaps filled as transformers fills them, calibration by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.special import softmax

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, OptionError
from semvec.finetune.cloze import Cloze
from semvec.finetune.zero_shot import FEWEST, TEMPERATURE, BySimilarity, ZeroShotClassifier, labels_named, zero_shot
from semvec.text.examples import LabelledTexts
from semvec_cli.main import main
from tests import tiny
from tests.cli.test_encode import refused
from tests.sample import TEXTS

LABELS = {"law": ["the law", "a right"], "freedom": ["freedom"], "all": ["all of us"]}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertForMaskedLM

    folder, tokenizer = tmp_path_factory.mktemp("masked"), tiny.wordpiece()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=tiny.POSITIONS,
        initializer_range=0.5,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_nearest_description_is_the_label(base: Path) -> None:
    encoder = load_encoder(base, device="cpu")
    its = BySimilarity(encoder, LABELS, templates=("{}", "about {}"), calibrate=False)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    said = [
        unit(encoder.encode([form.format(one) for one in words for form in ("{}", "about {}")]).vectors)
        for words in LABELS.values()
    ]
    labels = unit(np.stack([rows.mean(axis=0) for rows in said]))
    wanted = softmax(unit(encoder.encode(TEXTS[:5]).vectors) @ labels.T / TEMPERATURE, axis=1)
    np.testing.assert_allclose(its.shares(TEXTS[:5]), wanted, atol=1e-4)
    assert [one["label"] for one in its.predict(TEXTS[:5])] == [list(LABELS)[at] for at in wanted.argmax(axis=1)]


def test_calibration_by_hand() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(FEWEST * 3, 3)) + np.array([3.0, 0.0, -1.0])

    class Given(ZeroShotClassifier):
        def logs(self, texts: object) -> np.ndarray:
            return rows[: len(texts)]  # type: ignore[arg-type]

    its, shares = Given(["a", "b", "c"]), softmax(rows, axis=1)
    by_hand = shares / shares.mean(axis=0)
    np.testing.assert_allclose(its.shares([""] * len(rows)), by_hand / by_hand.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(its.shares([""] * 29), shares[:29])  # too few to say
    np.testing.assert_allclose(Given(["a", "b", "c"], calibrate=False).shares([""] * len(rows)), shares)
    assert its.predict([]) == []
    found = Given(["a", "b", "c"], calibrate=False).measured(LabelledTexts([""] * 30, ["a"] * 30))
    assert found.values["accuracy"] == (rows.argmax(axis=1) == 0).mean()
    with pytest.raises(InputError, match="'d' is none of those named"):
        its.measured(LabelledTexts([""], ["d"]))


def test_gaps_are_filled_as_transformers_fills_them(masked: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model, tokenizer = AutoModelForMaskedLM.from_pretrained(masked), AutoTokenizer.from_pretrained(masked)
    pattern, words = "{} is the [MASK] of all", {"x": ["right", "life"], "y": ["liberty"]}
    its = zero_shot(masked, words, pattern=pattern, calibrate=False, device="cpu")
    texts = ["no one shall be held", "everyone has the right to life , liberty and security of person", ""]
    for text, shares in zip(texts, its.shares(texts), strict=True):
        ids = tokenizer(pattern.format(text), return_tensors="pt")
        place = ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        with torch.inference_mode():
            logs = model(**ids).logits[0, place].log_softmax(dim=-1).numpy()
        mean = [np.mean([logs[tokenizer.convert_tokens_to_ids(word)] for word in its]) for its in words.values()]
        np.testing.assert_allclose(shares, softmax(mean), atol=1e-4)
    cloze = Cloze.load(masked, "[MASK] : {}", device="cpu")
    long = cloze.ids(" ".join(TEXTS))
    assert len(long) == tiny.POSITIONS
    assert long[1] == tokenizer.mask_token_id
    assert len(cloze.logs([" ".join(TEXTS)], [5, 6])[0]) == 2
    with pytest.raises(OptionError, match="is no single word of this model"):
        cloze.word("incomprehensibilities")


def test_what_the_model_can_decides(masked: Path, base: Path) -> None:
    assert type(zero_shot(masked, ["right", "liberty"], device="cpu")).__name__ == "ByCloze"
    assert type(zero_shot(base, ["law", "freedom"], device="cpu")).__name__ == "BySimilarity"
    assert type(zero_shot(masked, ["right", "liberty"], by="similarity", device="cpu")).__name__ == "BySimilarity"
    for wrong, said in (
        ({"by": "cloze"}, "no masked-LM head"),
        ({"pattern": "{} [MASK]"}, "a pattern does nothing by similarity"),
        ({"templates": ["no place"]}, "has not one {}"),
        ({"by": "magic"}, "choose from similarity, cloze"),
    ):
        with pytest.raises(OptionError, match=said):
            zero_shot(base, ["law", "freedom"], device="cpu", **wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="a template does nothing by cloze"):
        zero_shot(masked, ["right", "liberty"], templates=["a {}"], device="cpu")
    with pytest.raises(OptionError, match=r"has not one \{\}, for the text, and one \[MASK\]"):
        zero_shot(masked, ["right", "liberty"], pattern="{}", device="cpu")
    with pytest.raises(OptionError, match="two labels"):
        zero_shot(base, ["law"], device="cpu")


def test_labels_in_a_line() -> None:
    assert labels_named(["card_arrival", "a-b = one two | three", "x="]) == {
        "card_arrival": ["card arrival"],
        "a-b": ["one two", "three"],
        "x": ["x"],
    }
    with pytest.raises(OptionError, match="named twice"):
        labels_named(["a", "a=b"])
    with pytest.raises(OptionError, match="names no label"):
        labels_named(["=b"])


def test_the_command(base: Path, tmp_path: Path) -> None:
    def run(*args: object) -> object:
        return CliRunner().invoke(main, ["classify", *map(str, args)])

    (tmp_path / "texts.txt").write_text("the law\nfreedom of all\n")
    (tmp_path / "gold.tsv").write_text("label\ttext\nlaw\tthe law\nfreedom\tfreedom of all\n")
    how = ["-m", base, "--device", "cpu", "--labels", "law=the law|a right, freedom", "--labels", "all of us"]
    rows = [json.loads(line) for line in run(tmp_path / "texts.txt", *how, "--scores").stdout.splitlines()]  # type: ignore[attr-defined]
    assert [row["text"] for row in rows] == ["the law", "freedom of all"]
    assert set(rows[0]["scores"]) == {"law", "freedom", "all of us"}
    done = run(tmp_path / "texts.txt", *how, "-o", tmp_path / "out.jsonl")
    assert "2 answers in" in done.stderr  # type: ignore[attr-defined]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    assert run(tmp_path / "gold.tsv", *how, "--report").stdout.startswith("accuracy ")  # type: ignore[attr-defined]
    refused(run(tmp_path / "texts.txt", *how, "-o", tmp_path / "out.jsonl"), "out.jsonl")
    refused(run(tmp_path / "texts.txt", "-m", base, "--labels", "law"), "two labels")
    refused(run(tmp_path / "gold.tsv", "-m", base, "--labels", "law,pos", "--report"), "'freedom' is none of those named")
