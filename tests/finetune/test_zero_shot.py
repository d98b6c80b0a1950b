"""Labels without examples: nearest descriptions by numpy, gaps filled as transformers fills them, calibration by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.special import softmax

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, NotCalibrated, OptionError
from semvec.finetune.cloze import Cloze, fills_gaps
from semvec.finetune.zero_shot import FEWEST, TEMPERATURE, BySimilarity, ZeroShotClassifier, labels_named, zero_shot
from semvec.text.examples import LabelledTexts
from semvec_cli.main import main
from tests import tiny
from tests.cli.test_encode import refused
from tests.sample import TEXTS

LABELS = {"law": ["the law", "a right"], "freedom": ["freedom"], "all": ["all of us"]}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_masked(tmp_path_factory.mktemp("masked"))


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
    found = its.shares([""] * len(rows))
    np.testing.assert_allclose(found.mean(axis=0), 1 / 3, atol=1e-3)  # all labels as likely as each other
    ratios = found / shares  # by one number a label, and what makes a row sum to 1
    np.testing.assert_allclose(ratios / ratios[:, :1], np.tile(ratios[0] / ratios[0, 0], (len(rows), 1)))
    with pytest.warns(NotCalibrated, match="29 texts"):
        np.testing.assert_allclose(its.shares([""] * 29), shares[:29])
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
    assert its.shares(["no [MASK] one"]) == pytest.approx(its.shares(["no   one"]))
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


@pytest.mark.parametrize("make", [tiny.byte_level_masked, tiny.metaspace_masked])
def test_gaps_of_other_tokenizers(make: Any) -> None:
    tokenizer = make()

    class Model(torch.nn.Module):
        config = SimpleNamespace(max_position_embeddings=64, model_type="bert", vocab_size=len(tokenizer))

    cloze = Cloze(Model(), tokenizer, "It says {} and is <mask>.".replace("<mask>", "[MASK]"))
    for text in ("the right of all", "all human beings are born free"):
        whole = tokenizer(f"It says {text} and is {tokenizer.mask_token}.")["input_ids"]
        assert cloze.ids(text).tolist() == whole
    assert len(cloze.ids("all human beings " * 40)) == 64


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
    for labels in ("law, freedom", {"a": "the law", "b": ["freedom"]}, {"a": [], "b": ["freedom"]}):
        with pytest.raises(OptionError, match="list"):
            zero_shot(base, labels, device="cpu")  # type: ignore[arg-type]
    braces = BySimilarity(load_encoder(base, device="cpu"), LABELS, templates=["{x} {}"], calibrate=False)
    assert len(braces.vectors) == 3
    (masked / "modules.json").write_text("[]")  # a sentence encoder that says so of its architecture
    try:
        assert not fills_gaps(masked)
    finally:
        (masked / "modules.json").unlink()


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
    how = ["-m", base, "--device", "cpu", "--labels", "law=the law|a right", "--labels", "freedom, all of us", "--no-calibrate"]
    rows = [json.loads(line) for line in run(tmp_path / "texts.txt", *how, "--scores").stdout.splitlines()]  # type: ignore[attr-defined]
    assert [row["text"] for row in rows] == ["the law", "freedom of all"]
    assert set(rows[0]["scores"]) == {"law", "freedom", "all of us"}
    done = run(tmp_path / "texts.txt", *how, "-o", tmp_path / "out.jsonl")
    assert "2 answers in" in done.stderr  # type: ignore[attr-defined]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    assert run(tmp_path / "gold.tsv", *how, "--report").stdout.startswith("accuracy ")  # type: ignore[attr-defined]
    refused(run(tmp_path / "texts.txt", *how, "-o", tmp_path / "out.jsonl"), "out.jsonl")
    refused(run(tmp_path / "texts.txt", "-m", base, "--labels", "law"), "two labels")
    refused(run(tmp_path / "texts.txt", "-m", base, "--labels", "law=a, b"), "which comma parts labels")
    refused(run(tmp_path / "texts.txt", "-m", base), "--labels-file")
    refused(run(tmp_path / "gold.tsv", *how, "--column", "txt=x"), "no column is wanted as 'txt'")
    (tmp_path / "labels.txt").write_text("law=the law, or a right\nfreedom\n")
    by_file = run(tmp_path / "texts.txt", "-m", base, "--labels-file", tmp_path / "labels.txt", "--device", "cpu", "--scores")
    assert set(json.loads(by_file.stdout.splitlines()[0])["scores"]) == {"law", "freedom"}  # type: ignore[attr-defined]
    refused(run(tmp_path / "gold.tsv", "-m", base, "--labels", "law,pos", "--report"), "'freedom' is none of those named")


def test_a_prompt_is_put_before_descriptions_and_texts(base: Path) -> None:
    encoder = load_encoder(base, device="cpu")
    its = BySimilarity(encoder, LABELS, templates=("{}",), prompt="right: ", calibrate=False)
    asked = BySimilarity(encoder, {name: [f"right: {one}" for one in some] for name, some in LABELS.items()}, templates=("{}",))
    np.testing.assert_allclose(its.vectors, asked.vectors, atol=1e-5)
    np.testing.assert_allclose(its.logs(TEXTS[:3]), asked.logs([f"right: {text}" for text in TEXTS[:3]]), atol=1e-3)
    with pytest.raises(OptionError, match="a prompt does nothing by cloze"):
        zero_shot("minilm", ["a", "b"], by="cloze", prompt="query: ")
