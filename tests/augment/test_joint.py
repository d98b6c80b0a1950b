"""A retriever that learns with what reads its finds: Σ p(neighbour) · p(label | neighbour), the vectors looked for bent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from semvec.augment.classifier import RetrievalAugmentedClassifier
from semvec.augment.examples import FoundTexts, Looked
from semvec.augment.joint import TEMPERATURE, Joint, JointHead
from semvec.augment.memory import Memory, Retrieval, new_memory
from semvec.augment.train import train
from semvec.encoders.catalog import load_encoder
from semvec.errors import OptionError
from semvec.finetune.task import HeadConfig
from semvec.finetune.train import read_data
from semvec.finetune.tuned import Loading
from semvec.finetune.windows import collate
from semvec.results import Hits
from semvec.types import Level, Strategy, Way
from tests import tiny
from tests.finetune import small
from tests.finetune.small import quick

JOINT = Retrieval(3)


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    data, options = small.write("classify", folder), quick(epochs=3, max_tokens=48)
    train(base, data, folder / "m", way=Way.JOINT, retrieval=JOINT, options=options, device="cpu")
    return folder


def test_the_head_by_numpy() -> None:
    torch.manual_seed(0)
    head = JointHead(HeadConfig(labels=("a", "b"), dropout=0.0), 4, 3).eval()
    torch.nn.init.normal_(head.bend)
    features, asked, found = torch.randn(2, 3, 4), torch.randn(2, 3), torch.randn(2, 3, 3)
    batch = {"counts": torch.tensor([[4, 2, 7], [5, 0, 0]]), "asked": asked, "found": found}
    with torch.inference_mode():
        logits = head.logits(features, batch).numpy()
    bent = asked.numpy() @ (np.eye(3) + head.bend.detach().numpy().T)
    bent /= np.linalg.norm(bent, axis=1, keepdims=True)
    said = log_softmax(features.numpy() @ head.linear.weight.detach().numpy().T + head.linear.bias.detach().numpy(), axis=-1)
    for row, (there, its) in enumerate(zip((3, 1), logits, strict=True)):
        prior = log_softmax(found.numpy()[row, :there] @ bent[row] / TEMPERATURE)
        np.testing.assert_allclose(its, logsumexp(prior[:, None] + said[row, :there], axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1.0, rtol=1e-5)


def test_it_reads_each_neighbour_apart_and_learns_what_to_look_for(base: Path, tmp_path: Path) -> None:
    rows = small.texts(20)
    with new_memory(tmp_path / "memory", load_encoder(base, device="cpu"), JOINT) as memory:
        memory.add([str(at) for at in range(20)], [text for _, text in rows], [label for label, _ in rows])
        texts, labels = ["freedom is a right", "the law of all", "one shall be"], ["pos", "neg", "pos"]
        hits = memory.neighbours(texts)
        hits[1], hits[2] = Hits(hits[1].hits[:1]), Hits(())
        examples = FoundTexts(texts, labels, hits)
        model: Any = Joint.start(Looked(), base, examples, quick(max_tokens=48), Loading("cpu"))
        model.attend(memory)
        answers = model.predict(examples)
        for at, its in enumerate(hits):  # by one neighbour at a time, and by hand how much each counts
            alone = [model.predict(FoundTexts([texts[at]], [""], [Hits((hit,))]))[0] for hit in its] or [
                model.predict(FoundTexts([texts[at]], [""], [Hits(())]))[0]
            ]
            scores = np.array([hit.score for hit in its]) if len(its) else np.zeros(1)
            prior = np.exp(scores / TEMPERATURE) / np.exp(scores / TEMPERATURE).sum()
            shares = [one["scores"]["pos"] for one in alone]
            assert answers[at]["scores"]["pos"] == pytest.approx(prior @ np.array(shares), abs=1e-4)
        batch = collate(model.windows(examples, labelled=True), model.pad)
        model.network(**batch)["loss"].backward()
        assert model.network.head.bend.grad.abs().sum() > 0
        assert model.network.head.heat.grad.abs() > 0
        bend = model.network.head.bend.data
        torch.nn.init.normal_(bend, std=0.5)
        items = list(memory.collection.scan())
        asked = memory.vectors(texts)
        bent = asked + asked @ bend.numpy().T
        cosines = bent / np.linalg.norm(bent, axis=1, keepdims=True) @ np.stack([its.vector for its in items]).T
        found = memory.neighbours(texts)
        assert [its.ids[0] for its in found] == [items[row.argmax()].id for row in cosines]
        assert [its[0].score for its in found] == pytest.approx(cosines.max(axis=1), abs=1e-4)
        memory.add(["like"], ["Freedom  is a RIGHT,"], ["pos"])
        for its in memory.neighbours(texts[:1], apart=True, k=21):  # its like is none, by whatever it is looked for
            assert "like" not in its.ids
        memory.remove([hits[0].ids[0]])
        again = model.predict(FoundTexts(texts[:1], [""], hits[:1]))  # deleted between search and read
        assert sum(again[0]["scores"].values()) == pytest.approx(1.0, abs=1e-5)


def test_what_was_learnt_comes_back(made: Path) -> None:
    texts, options = [text for _, text in small.texts(6, 5)], quick(epochs=3, max_tokens=48)
    validation = read_data(Looked(), made / "classify.tsv", None, options).validation
    with RetrievalAugmentedClassifier.open(made / "m", device="cpu") as model:
        assert model.described.retrieval == JOINT
        head: Any = model.answering.model.network.head
        assert head.bend.abs().sum() > 0
        said = model.weighed(validation.texts, model.memory.neighbours(validation.texts, apart=True))
        right = np.mean([answer["label"] == label for answer, label in zip(said, validation.labels, strict=True)])
        assert model.described.record["validation"]["accuracy"]["value"] == pytest.approx(right)
        answers = model.predict(texts, return_evidence=True)
        assert [len(answer["neighbours"]) for answer in answers] == [3] * 6
        ids = model.add(["a right of no one"], ["neg"])
        assert ids == [its.id for its in model.memory.collection.get(ids)]
        bare = model.alone(texts[:1])
        model.remove([*ids, *(f"train-{at}" for at in range(48))])
        assert model.predict(texts[:1])[0]["score"] == pytest.approx(bare[0]["score"], abs=1e-5)


def test_neighbours_are_looked_for_anew_before_every_epoch(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = small.write("classify", tmp_path), []
    search = Memory.neighbours

    def spied(self: Memory, texts: list[str], **options: Any) -> list[Hits]:
        asked.append((len(texts), options.get("apart", False), self.bend is not None))
        return search(self, texts, **options)

    monkeypatch.setattr(Memory, "neighbours", spied)
    options = quick(epochs=3, max_tokens=48)
    train(base, data, tmp_path / "m", way="joint", retrieval=JOINT, options=options, device="cpu")
    examples = read_data(Looked(), data, None, options)
    assert asked.count((len(examples.train), True, True)) == 2  # before the second and the third
    assert all(apart for _, apart, _ in asked)


def test_a_frozen_encoder_is_run_once_a_pair_and_chosen_as_it_serves(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, options = small.write("classify", tmp_path), quick(strategy=Strategy.HEAD, epochs=4, max_tokens=48)
    read: list[int] = []
    features = Joint.features

    def spied(self: Joint, windows: Any, progress: Any = None) -> Any:
        read.append(sum(len(its.known["pairs"]) for its in windows))
        return features(self, windows, progress)

    monkeypatch.setattr(Joint, "features", spied)
    its = train(base, data, tmp_path / "m", way="joint", retrieval=JOINT, options=options, device="cpu")
    assert sum(read[2:]) < 3 * (sum(read[:2]))  # most pairs of later epochs were read before
    examples = read_data(Looked(), data, None, options)
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        hits = model.memory.neighbours(examples.validation.texts, apart=True)
        served = model.measured(examples.validation, hits).values["accuracy"]
    looks = {its["step"]: its["accuracy"] for its in its.record["history"]["looks"]}
    assert looks[its.record["history"]["best_step"]] == pytest.approx(served)


def test_training_reads_what_is_found_anew(base: Path, tmp_path: Path) -> None:
    rows = small.texts(12)
    with new_memory(tmp_path / "memory", load_encoder(base, device="cpu"), JOINT) as memory:
        memory.add([str(at) for at in range(12)], [text for _, text in rows], [label for label, _ in rows])
        texts, labels = [text for _, text in rows], [label for label, _ in rows]
        examples = FoundTexts(texts, labels, memory.neighbours(texts, apart=True))
        model: Any = Joint.start(Looked(), base, examples, quick(max_tokens=48), Loading("cpu"))
        model.attend(memory)
        windows = model.windows(examples, labelled=True)
        head = model.network.head
        torch.nn.init.normal_(head.bend, std=0.5)
        inside = model.renewed(examples, windows, labelled=True, inside=True)  # by what was there as the epoch began: nothing
        assert [its.known["pairs"] for its in inside] == [its.known["pairs"] for its in windows]
        anew = model.renewed(examples, windows, labelled=True)
        bent = memory.neighbours(texts, apart=True)
        assert [its.known["pairs"] for its in anew] == [
            its.known["pairs"] for its in model.windows(FoundTexts(texts, labels, bent), labelled=True)
        ]
        assert [its.known["pairs"] for its in anew] != [its.known["pairs"] for its in windows]
        torch.testing.assert_close(head.then, head.bend.detach())


def test_long_texts_are_read_in_windows_with_each_neighbour(base: Path, tmp_path: Path) -> None:
    with new_memory(tmp_path / "memory", load_encoder(base, device="cpu"), JOINT) as memory:
        memory.add(["0", "1"], ["the law is one and all of the law is right", "freedom"], ["neg", "pos"])
        text = " ".join(text for _, text in small.texts(12))
        examples = FoundTexts([text], ["pos"], memory.neighbours([text]))
        model: Any = Joint.start(
            Looked(), base, FoundTexts(["a", "b"], ["pos", "neg"], [Hits(())] * 2), quick(max_tokens=24), Loading("cpu")
        )
        model.attend(memory)
        windows, tokens = model.windows(examples, labelled=True), next(iter(model.reader.tokens([text]))).ids
        assert len(windows) > 2
        assert {its.owner for its in windows} == {0}
        assert all(its.inputs["ids"].shape == (24, 2) for its in windows[:-1])
        front = len(model.encoder.transformer.tokenizer.prefix)
        first = windows[0].inputs["ids"][front:, 0].tolist()
        assert first[:10] == tokens[:10].tolist()
        assert len(model.predict(examples)) == 1
        assert windows[0].cost == 48


def test_what_does_not_go_together_is_said(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    for how in (Retrieval(3, hybrid=True), Retrieval(3, level=Level.TOKEN)):
        with pytest.raises(OptionError, match="joint is learnt on one vector a text"):
            train(base, data, tmp_path / "m", way="joint", retrieval=how, device="cpu")
    from transformers import BertConfig, BertModel

    tokenizer, other = tiny.wordpiece(), tmp_path / "other"
    tokenizer.save_pretrained(other)
    sizes = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(other)
    with pytest.raises(OptionError, match="joint: the encoder that finds has 48 numbers a text"):
        train(base, data, tmp_path / "m", way="joint", retriever=other, device="cpu")
    assert not list(tmp_path.glob("m*"))
