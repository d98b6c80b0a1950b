"""Models that write: stored and loaded, learning, reading long texts in windows; BLEU and chrF against sacrebleu."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU, CHRF
from transformers import AutoModelForSeq2SeqLM

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, ModelError, OptionError
from semvec.finetune.decoder import make_decoder, make_vocabulary
from semvec.finetune.loading import load_model
from semvec.finetune.report import report
from semvec.finetune.seq2seq import Seq2Seq, Translating, _load_whole
from semvec.finetune.train import finetune
from semvec.finetune.tuned import Loading
from semvec.finetune.writer import Source, Writer, collate
from semvec.measures.translation import bleu, chrf
from semvec.text.parallel import ParallelTexts
from tests import tiny
from tests.finetune import small
from tests.finetune.small import quick

BRIEF = {"vocabulary": 300, "decoder_layers": 2, "target_tokens": 24, "beams": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write("seq2seq", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 with its decoder."""
    from transformers import AutoConfig, AutoTokenizer, T5ForConditionalGeneration

    folder = tiny.make_model("t5", tmp_path_factory.mktemp("t5"))
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(AutoConfig.from_pretrained(folder))
    model.generation_config.decoder_start_token_id = AutoTokenizer.from_pretrained(folder).pad_token_id
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("strategy", ["full", "head", "lora"])
@pytest.mark.parametrize("kind", ["fresh", "t5"])
def test_what_is_stored_comes_back(kind: str, strategy: str, base: Path, t5: Path, data: Path, tmp_path: Path) -> None:
    model, brief = {"fresh": base, "t5": t5}[kind], BRIEF if kind == "fresh" else {"target_tokens": 24, "beams": 2}
    options = quick(strategy=strategy, epochs=2, **brief)
    made = finetune("seq2seq", model, data, tmp_path / "m", options=options)
    again = load_model(tmp_path / "m")
    assert isinstance(made.model, Translating)
    assert isinstance(again, Translating)
    examples = made.model.task.read(data, options)
    sources = again.sources(examples, labelled=True)
    with torch.inference_mode():
        one, other = (its.writer.eval()(**collate(sources, 0))["logits"] for its in (made.model, again))
    torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
    assert made.model.predict(examples) == again.predict(examples)
    vectors, before = (load_encoder(its).encode(["no one shall"], level="token").vectors for its in (tmp_path / "m", model))
    assert (np.abs(vectors - before).max() > 1e-6) == (strategy != "head")
    if kind == "t5":
        assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m").config.model_type == "t5"


def test_it_learns_to_write(base: Path, data: Path, tmp_path: Path) -> None:
    options = quick(epochs=30, learning_rate=3e-3, head_learning_rate=1e-2, patience=30, **BRIEF)
    made = finetune("seq2seq", base, data, tmp_path / "m", options=options)
    assert made.record["validation"]["BLEU"]["value"] > 99
    examples = made.model.task.read(data, options)
    said = [answer["target"] for answer in load_model(tmp_path / "m").predict(examples)]
    assert np.mean([one in right for one, right in zip(said, examples.targets, strict=True)]) > 0.95
    lines = report(tmp_path / "m", data).lines
    assert lines["the source itself"]["BLEU"]["value"] < 5 < lines["fine-tuned"]["BLEU"]["value"]


def test_it_goes_on_with_the_decoder_it_has(base: Path, data: Path, tmp_path: Path) -> None:
    options = quick(epochs=20, learning_rate=3e-3, head_learning_rate=1e-2, patience=30, **BRIEF)
    finetune("seq2seq", base, data, tmp_path / "one", options=options)
    more = quick(epochs=1, learning_rate=1e-6, head_learning_rate=1e-6, target_tokens=24)
    with pytest.raises(OptionError, match="vocabulary is for a new decoder"):
        finetune("seq2seq", tmp_path / "one", data, tmp_path / "two", options=more.changed({"vocabulary": 400}))
    made = finetune("seq2seq", tmp_path / "one", data, tmp_path / "two", options=more)
    assert made.record["validation"]["BLEU"]["value"] > 80


def test_the_loss_is_that_of_transformers(t5: Path) -> None:
    model = _load_whole(t5, Loading()).eval()
    rows = [
        Source(at, [np.array(ids)], np.array(target))
        for at, (ids, target) in enumerate([([5, 6, 1], [7, 8, 1]), ([9, 1], [4, 1])])
    ]
    batch = collate(rows, 0)
    with torch.inference_mode():
        wanted = model(input_ids=batch["ids"], attention_mask=batch["mask"], labels=batch["labels"]).loss
        found = Writer(model, fresh=False)(**batch)["loss"]
    assert batch["labels"].tolist() == [[7, 8, 1], [4, 1, -100]]
    torch.testing.assert_close(found, wanted)


def test_windows_are_read_one_by_one_and_attended_to_together(t5: Path) -> None:
    model = _load_whole(t5, Loading()).eval()
    rows = [Source(0, [np.array([5, 6, 7, 1]), np.array([8, 1])]), Source(1, [np.array([9, 1])])]
    with torch.inference_mode():
        states, mask = Writer(model, fresh=False).read(collate(rows, 0))
        parts = [
            model.get_encoder()(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in ([5, 6, 7, 1], [8, 1], [9, 1])
        ]
    torch.testing.assert_close(states[0][mask[0] == 1], torch.cat(parts[:2]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states[1][mask[1] == 1], parts[2], atol=1e-5, rtol=1e-4)


def test_long_texts_are_read_whole(base: Path, data: Path, tmp_path: Path) -> None:
    its = finetune("seq2seq", base, data, tmp_path / "m", options=quick(**BRIEF)).model
    assert isinstance(its, Translating)
    texts = ParallelTexts([f"{'the of and ' * 40}{word}" for word in small.SIGNS.values()], [["it binds"], ["it binds"]])
    sources = its.sources(texts, labelled=True)
    assert its.parts(texts) == sum(len(source.windows) for source in sources) - 2 >= 4
    with torch.inference_mode():
        one, other = (its.writer(**collate([source], 0))["logits"] for source in sources)
    assert not torch.allclose(one, other)  # what they differ in is behind what is read at once


def test_a_vocabulary_writes_any_text() -> None:
    tokenizer = make_vocabulary(["the law of the land", "no one shall be held"], 300)
    for text in ("the law", "Größe, 法律 and 🙂", ""):
        ids = tokenizer(text_target=text)["input_ids"]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text


def test_a_decoder_begins_as_the_last_layers_of_its_encoder(base: Path) -> None:
    encoder = load_encoder(base).transformer.model  # type: ignore[attr-defined]
    decoder = make_decoder(encoder, 300, 2, 20, 0.1)
    for own, theirs in ((0, tiny.LAYERS - 2), (1, tiny.LAYERS - 1)):
        one, other = decoder.bert.encoder.layer[own], encoder.encoder.layer[theirs]
        assert torch.equal(one.attention.self.query.weight, other.attention.self.query.weight)
        assert torch.equal(one.intermediate.dense.weight, other.intermediate.dense.weight)


@pytest.mark.parametrize("strategy", ["lora", "dora", "full"])
def test_whatever_learns_begins_as_the_encoder_was(strategy: str, base: Path, data: Path) -> None:
    task, options = Seq2Seq(), quick(strategy=strategy, **BRIEF)
    its = Translating.start(task, base, task.read(data, options), options, Loading())
    sources = its.sources(ParallelTexts(["no one shall be held"], [[]]), labelled=False)
    with torch.inference_mode():
        states, _ = its.writer.eval().read(collate(sources, 0))
    wanted = load_encoder(base).encode(["no one shall be held"], level="token", special=True).vectors
    np.testing.assert_allclose(states[0].numpy(), wanted, atol=1e-5)
    own = its.writer.model.decoder.bert.encoder.layer[1].attention.self.query.weight
    plain = load_encoder(base).transformer.model.encoder.layer[tiny.LAYERS - 1].attention.self.query.weight  # type: ignore[attr-defined]
    assert torch.equal(own, plain)


def test_a_decoder_writes_no_more_than_it_has_places_for(base: Path, data: Path, tmp_path: Path) -> None:
    finetune("seq2seq", base, data, tmp_path / "one", options=quick(**BRIEF))
    more = quick(target_tokens=90)
    with pytest.raises(OptionError, match="target_tokens 90 is more than the 25"):
        finetune("seq2seq", tmp_path / "one", data, tmp_path / "two", options=more)


def test_labels_are_shifted_as_t5_does_it(t5: Path) -> None:
    model = _load_whole(t5, Loading())
    labels = torch.tensor([[7, 8, 1], [4, 1, -100]])
    wanted = model.prepare_decoder_input_ids_from_labels(labels)
    bare = SimpleNamespace(config=model.config)
    assert torch.equal(Writer._shifted(SimpleNamespace(model=bare), labels), wanted)  # type: ignore[arg-type]


def test_a_model_that_was_loaded_is_stored_with_its_decoder(t5: Path, data: Path, tmp_path: Path) -> None:
    finetune("seq2seq", t5, data, tmp_path / "m", options=quick(target_tokens=24, strategy="lora"))
    one = load_model(tmp_path / "m")
    (tmp_path / "again").mkdir()
    one.save(tmp_path / "again")
    examples = one.task.read(data, one.options)
    assert load_model(tmp_path / "again").predict(examples) == one.predict(examples)


def test_targets_that_are_too_long_are_counted(base: Path, data: Path, tmp_path: Path) -> None:
    made = finetune("seq2seq", base, data, tmp_path / "m", options=quick(**{**BRIEF, "target_tokens": 4}))
    assert made.record["history"]["cut"] == made.record["examples"]["train"]
    cut = Source(0, [np.arange(3)] * 5, np.arange(9)).cut(4, 2)
    assert cut.target is not None
    assert (cut.target.tolist(), len(cut.windows)) == ([0, 1, 2, 8], 2)


SAID = ["the cat sat on the mat", "a dog", "", "nobody knows anything at all"]
RIGHT = [["the cat sat on a mat", "a cat sat on the mat"], ["a dog barks"], ["nothing"], ["nobody knows a thing at all"]]


def test_bleu_and_chrf_are_sacrebleus() -> None:
    streams = [[its[at] if at < len(its) else None for its in RIGHT] for at in range(2)]
    assert bleu(SAID, RIGHT).value == pytest.approx(BLEU().corpus_score(SAID, streams).score)
    assert chrf(SAID, RIGHT).value == pytest.approx(CHRF().corpus_score(SAID, streams).score)
    drawn = [SAID[at] for at in (0, 0, 3)], [[its[at] for at in (0, 0, 3)] for its in streams]
    part = bleu(SAID, RIGHT)
    assert part.of(part.columns[0][[0, 0, 3]]) == pytest.approx(BLEU().corpus_score(*drawn).score)
    han = ["我 喜歡 貓", "他們 讀 書 和 報紙"], [["我喜歡貓"], ["他們讀書和報紙"]]
    assert bleu(*han).value == pytest.approx(BLEU(tokenize="zh").corpus_score(han[0], [[its[0] for its in han[1]]]).score)


def test_what_does_not_fit_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="goes with full, head"):
        finetune("seq2seq", base, data, tmp_path / "m", options=quick(strategy="prompt"))
    (tmp_path / "t.tsv").write_text("source\tx\na\tb\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'target'"):
        finetune("seq2seq", base, tmp_path / "t.tsv", tmp_path / "m", options=quick())
    finetune("classify", base, small.write("classify", tmp_path), tmp_path / "lora", options=quick(strategy="lora"), before=False)
    with pytest.raises(OptionError, match="store that one whole"):
        finetune("seq2seq", tmp_path / "lora", data, tmp_path / "m", options=quick())


def test_a_damaged_decoder_is_told(base: Path, data: Path, tmp_path: Path) -> None:
    finetune("seq2seq", base, data, tmp_path / "m", options=quick(**BRIEF))
    (tmp_path / "m" / "decoder" / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="the decoder cannot be loaded"):
        load_model(tmp_path / "m")
