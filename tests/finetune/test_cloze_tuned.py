"""Words that stand for labels are learnt in the gap of a pattern: the loss is transformers', and what is stored fills gaps again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForMaskedLM, AutoTokenizer

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.classify import Classify
from semvec.finetune.cloze_tuned import ClozeTuned, Filling, learnt_cloze
from semvec.finetune.few_shot import few_shot
from semvec.finetune.loading import load_model
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.shots import FEW_SHOT, drawn_shots
from semvec.finetune.tuned import Loading
from semvec.finetune.zero_shot import zero_shot
from semvec.text.examples import LabelledTexts
from semvec_cli.main import main
from tests.cli.test_encode import refused
from tests.finetune import small
from tests.finetune.test_zero_shot import masked as masked

WORDS = {"neg": ["rights"], "pos": ["human", "all"]}
PATTERN = "{} for [MASK]"
ROWS = small.texts(40)
EXAMPLES = LabelledTexts([text for _, text in ROWS], [label for label, _ in ROWS])
QUICK = FinetuneOptions(epochs=30, learning_rate=3e-3, batch_size=8)


def by_hand(folder: Path, texts: list[str]) -> np.ndarray:
    """What transformers says of the words in the gap: the mean of each label's logits."""
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ids = [[tokenizer.convert_tokens_to_ids(word) for word in some] for some in WORDS.values()]
    rows = []
    for text in texts:
        batch = tokenizer(f"{text} for {tokenizer.mask_token}", return_tensors="pt")
        with torch.no_grad():
            at = model(**batch).logits[0, batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)]
        rows.append([float(at[some].mean()) for some in ids])
    return np.array(rows)


def test_what_is_learnt_is_the_cross_entropy_of_the_words_in_the_gap(masked: Path) -> None:
    tuned = ClozeTuned.of(Classify(), masked, WORDS, PATTERN, FinetuneOptions(), Loading("cpu"))
    texts, labels = EXAMPLES.texts[:3], torch.tensor([["neg", "pos"].index(one) for one in EXAMPLES.labels[:3]])
    rows = [torch.from_numpy(tuned.cloze.ids(text)) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tuned.cloze.reader.pad)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    found = Filling(tuned.cloze.model, tuned.numbers(), tuned.cloze.tokenizer.mask_token_id)(ids=ids, mask=mask, labels=labels)
    wanted = torch.from_numpy(by_hand(masked, texts)).float()
    torch.testing.assert_close(found["logits"], wanted, rtol=1e-3, atol=1e-3)
    assert float(found["loss"]) == pytest.approx(float(torch.nn.functional.cross_entropy(wanted, labels)), rel=1e-3)


def test_a_few_examples_teach_it_and_what_is_stored_is_a_checkpoint(masked: Path, tmp_path: Path) -> None:
    data, out = small.write("classify", tmp_path), tmp_path / "m"
    before = zero_shot(masked, WORDS, pattern=PATTERN, calibrate=False, device="cpu").measured(EXAMPLES).values["accuracy"]
    made = few_shot(masked, data, out, words=WORDS, pattern=PATTERN, options=QUICK, device="cpu")
    tuned = load_model(out, device="cpu")
    assert isinstance(tuned, ClozeTuned)
    assert tuned.measured(EXAMPLES).values["accuracy"] > max(0.9, before)
    said, again = made.model.predict(EXAMPLES), tuned.predict(EXAMPLES)
    assert [one["label"] for one in said] == [one["label"] for one in again]
    logits = by_hand(out, EXAMPLES.texts[:5])  # transformers opens it, too
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([list(one["scores"].values()) for one in again[:5]], shares, rtol=1e-2, atol=1e-3)
    vectors = load_encoder(out, device="cpu").encode(["the law"], level="token").vectors
    np.testing.assert_allclose(made.model.encoder.encode(["the law"], level="token").vectors, vectors, atol=1e-4)
    assert not np.allclose(load_encoder(masked, device="cpu").encode(["the law"], level="token").vectors, vectors, atol=1e-3)
    assert made.record["few shot"]["pattern"] == PATTERN
    assert "learnt which words stand for labels" in (out / "README.md").read_text()


@pytest.mark.parametrize("strategy", ["last-n", "bitfit"])
def test_less_may_learn(strategy: str, masked: Path, tmp_path: Path) -> None:
    options = FinetuneOptions(epochs=1, strategy=strategy, last_layers=1)  # type: ignore[arg-type]
    how = {"pattern": PATTERN, "options": options, "loading": Loading("cpu"), "work": tmp_path}
    tuned = learnt_cloze(masked, Classify(), EXAMPLES, WORDS, **how)  # type: ignore[arg-type]
    was = AutoModelForMaskedLM.from_pretrained(masked)
    now = dict(tuned.cloze.model.named_parameters())
    moved = {name for name, weight in was.named_parameters() if not torch.equal(weight, now[name].detach().cpu())}
    assert moved
    assert all(name.endswith("bias") if strategy == "bitfit" else ".layer.1." in name for name in moved)


def test_what_does_not_go_is_refused(masked: Path, base: Path, tmp_path: Path) -> None:
    data, out = small.write("classify", tmp_path), tmp_path / "m"
    with pytest.raises(InputError, match="label 'pos' has no words"):
        few_shot(masked, data, out, words={"neg": ["rights"]}, options=QUICK)
    with pytest.raises(OptionError, match="no single word"):
        few_shot(masked, data, out, words={"neg": ["rights"], "pos": ["incomprehensibility"]}, options=QUICK)
    with pytest.raises(OptionError, match="no masked-LM head"):
        few_shot(base, data, out, words=WORDS, options=QUICK)
    with pytest.raises(OptionError, match="not lora"):
        few_shot(masked, data, out, words=WORDS, options=FinetuneOptions(strategy="lora"))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="goes with words"):
        few_shot(masked, data, out, pattern="{} [MASK]", options=QUICK)
    assert not out.exists()
    few_shot(masked, data, out, words=WORDS, options=FinetuneOptions(epochs=1), device="cpu")
    about = json.loads((out / "semvec.json").read_text())
    about["head"]["cloze"]["words"]["pos"] = []
    (out / "semvec.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match=r"semvec\.json is damaged"):
        load_model(out)


def test_the_command_makes_examines_and_is_asked(masked: Path, tmp_path: Path) -> None:
    data, out = small.write("classify", tmp_path), tmp_path / "m"
    words = ["-m", str(masked), "--labels", "neg=rights", "--labels", "pos=human|all", "--epochs", "1", "--device", "cpu"]
    done = CliRunner().invoke(main, ["few-shot", "--data", str(data), *words, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "pairs" not in done.output
    said = CliRunner().invoke(main, ["predict", str(out), str(data), "--scores", "--device", "cpu"])
    assert set(json.loads(said.output.splitlines()[0])["scores"]) == {"neg", "pos"}
    report = CliRunner().invoke(main, ["report", str(out), "--data", str(data), "--device", "cpu"])
    assert report.exit_code == 0, report.output
    refused(CliRunner().invoke(main, ["few-shot", "--data", str(data), "--pattern", "{} [MASK]", "-o", "x"]), "--labels")
    (tmp_path / "d").mkdir()
    for split, seed in (("train", 0), ("test", 1)):
        rows = [f"{label}\t{text}" for label, text in small.texts(30, seed)]
        (tmp_path / "d" / f"{split}.tsv").write_text("\n".join(["label\ttext", *rows]) + "\n")
    its = drawn_shots(masked, tmp_path / "d", shots=4, repeats=2, words=WORDS, options=QUICK, device="cpu")
    assert len(its.accuracies[FEW_SHOT]) == 2
