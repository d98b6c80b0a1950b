"""Classifiers that look things up: trained in every way, stored, opened again; taught and untaught, which counts at once."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from semvec.augment.classifier import RetrievalAugmentedClassifier
from semvec.augment.crossed import Bank, CrossAttentionHead
from semvec.augment.examples import Looked, beside
from semvec.augment.kinds import open_model
from semvec.augment.memory import Memory, Retrieval, label_of, new_memory
from semvec.augment.report import ALONE, FOUND, compared
from semvec.augment.train import train
from semvec.augment.weigh import Weighing
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, ModelError, ModelNotFound, OptionError, OutputExists, ResumeMismatch
from semvec.finetune import trainer
from semvec.finetune.heads import pooled
from semvec.finetune.loading import load_model
from semvec.finetune.train import finetune, read_data
from semvec.results import Hit, Hits
from semvec.text.examples import LabelledTexts
from semvec.types import Dtype, Step, Way
from tests import tiny
from tests.finetune import small
from tests.finetune.small import quick

WAYS = list(Way)


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ways")
    data = small.write("classify", folder)
    for way in WAYS:
        train(base, data, folder / way, way=way, retrieval=Retrieval(3), options=quick(max_tokens=48), device="cpu")
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_what_is_stored_comes_back(way: Way, made: Path) -> None:
    texts = [text for _, text in small.texts(6, 5)]
    task, options = Looked(), quick(max_tokens=48)
    validation = read_data(task, made / "classify.tsv", None, options).validation
    record = json.loads((made / way / "augment.json").read_text())["record"]
    with RetrievalAugmentedClassifier.open(made / way, device="cpu") as model:
        answers = model.predict(texts, return_evidence=True)
        again = model.predict(texts[2:3], return_evidence=True)
        k = model.answering.wanted(3) or 3
        said = model.weighed(validation.texts, model.memory.neighbours(validation.texts, apart=True, k=k))
    right = np.mean([answer["label"] == label for answer, label in zip(said, validation.labels, strict=True)])
    assert record["validation"]["accuracy"]["value"] == pytest.approx(right)
    assert again[0]["score"] == pytest.approx(answers[2]["score"], abs=1e-4)  # whatever else is asked
    for answer in answers:
        assert sum(answer["scores"].values()) == pytest.approx(1.0, abs=1e-5)
        assert len(answer["neighbours"]) == k
        assert all(one["label"] in ("pos", "neg") for one in answer["neighbours"])
    assert set(record["validation"]) == set(record["alone"]) == {"accuracy", "macro F1"}


@pytest.mark.parametrize("way", WAYS)
def test_the_influence_of_a_neighbour_is_what_is_lost_without_it(way: Way, made: Path) -> None:
    texts = [text for _, text in small.texts(3, 6)]
    with RetrievalAugmentedClassifier.open(made / way, device="cpu") as model:
        if way == Way.KNN:
            model.answering.weighing = Weighing(3, 0.05, 0.6)  # type: ignore[attr-defined]
        if way == Way.GATE:
            model.answering.weighing = Weighing(3, 0.05, gate=(0.5, 0.1, 0.1, 0.1, 0.1, 0.1))  # type: ignore[attr-defined]
        if way == Way.CROSS:
            model.answering.model.network.head.gates.data.fill_(1.5)  # type: ignore[operator, union-attr]
        hits = model.memory.neighbours(texts)
        answers = model.weighed(texts, hits, evidence=True)
        assert max(abs(one["influence"]) for answer in answers for one in answer["neighbours"]) > 1e-3
        for at, (text, its, answer) in enumerate(zip(texts, hits, answers, strict=True)):
            for place, one in enumerate(answer["neighbours"]):
                assert one["id"] == its[place].id
                less = Hits(its.hits[:place] + its.hits[place + 1 :], text)
                [without] = model.weighed([text], [less])
                assert one["influence"] == pytest.approx(answer["score"] - without["scores"][answer["label"]], abs=1e-4), at


@pytest.mark.parametrize("way", [Way.CONCAT, Way.CROSS])
def test_no_example_is_taught_by_itself(way: Way, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = small.texts(24)
    lines = [f"{label}\t{text}" for label, text in rows] + [f"{label}\t{text.upper()}!" for label, text in rows]
    (tmp_path / "data.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")
    seen: list[tuple[str, Hit]] = []
    search = Memory.neighbours

    def spied(self: Memory, texts: list[str], **options: object) -> list[Hits]:
        found = search(self, texts, **options)  # type: ignore[arg-type]
        if options.get("apart"):
            seen.extend((text, hit) for text, hits in zip(texts, found, strict=True) for hit in hits)
        return found

    monkeypatch.setattr(Memory, "neighbours", spied)
    train(
        base, tmp_path / "data.tsv", tmp_path / "m", way=way, retrieval=Retrieval(4), options=quick(max_tokens=48), device="cpu"
    )
    assert len(seen) >= 100
    assert not [pair for pair in seen if pair[0].lower().rstrip("!") == (pair[1].text or "").lower().rstrip("!")]


def test_what_is_taught_counts_at_once(made: Path, tmp_path: Path) -> None:
    copytree(made / "knn", tmp_path / "knn")
    with RetrievalAugmentedClassifier.open(tmp_path / "knn", device="cpu") as model:
        model.answering.weighing = Weighing(1, 0.05, 0.9)  # type: ignore[attr-defined]
        text = "one shall be of all"
        before = model.predict([text])[0]["label"]
        ids = model.add([text, text], ["brand new", "brand new"])
        assert ids[0] == ids[1]
        answer = model.predict([text], return_evidence=True)[0]
        assert answer["label"] == "brand new"
        assert answer["score"] == pytest.approx(0.9)
        assert answer["neighbours"][0]["influence"] > 0
        assert model.remove([ids[0]]) == 1
        assert model.predict([text])[0]["label"] == before
        model.memory.add(["other"], [text], ["other way"])
        assert model.predict([text])[0]["label"] == "other way"  # whoever wrote it
        model.remove(["other"])
        with pytest.raises(InputError, match="not empty"):
            model.add([text], [""])
        model.answering.weighing = Weighing(8)  # type: ignore[attr-defined]
        with pytest.raises(OptionError, match="has no say in this model"):
            model.add([text], ["brand new"])
        assert len(model.predict([text], return_evidence=True)[0]["neighbours"]) == 3  # shown, though they do not count
        model.remove([f"train-{at}" for at in range(48)])
        assert model.predict([text])[0]["label"] in ("pos", "neg")  # an empty memory: what the model says alone


def test_as_many_are_found_as_were_chosen(made: Path) -> None:
    texts = [text for _, text in small.texts(5, 8)]
    with RetrievalAugmentedClassifier.open(made / "knn", device="cpu") as model:
        model.answering.weighing = Weighing(16, 0.1, 0.5)  # type: ignore[attr-defined]
        items = list(model.memory.collection.scan())
        cosines = model.memory.searcher.encoder.encode_query(texts).floats() @ np.stack([its.vector for its in items]).T
        own = model.alone(texts)
        for text, row, alone in zip(texts, cosines, own, strict=True):
            order = np.argsort(-row, kind="stable")[:16]
            weights = np.exp((row[order] - row[order[0]]) / 0.1)
            said = sum(w for w, at in zip(weights, order, strict=True) if items[at].metadata["label"] == "pos") / weights.sum()
            [answer] = model.predict([text])
            assert answer["scores"]["pos"] == pytest.approx(0.5 * said + 0.5 * alone["scores"]["pos"], abs=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_validation_texts_do_not_find_themselves_either(
    way: Way, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = small.texts(40)
    (tmp_path / "data.tsv").write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")
    encoder = load_encoder(base, device="cpu")
    with new_memory(tmp_path / "all", encoder, Retrieval()) as memory:
        memory.add([text for _, text in rows], [text for _, text in rows], [label for label, _ in rows])
    seen: list[tuple[str, Hit]] = []
    search = Memory.neighbours

    def spied(self: Memory, texts: list[str], **options: object) -> list[Hits]:
        found = search(self, texts, **options)  # type: ignore[arg-type]
        seen.extend((text, hit) for text, hits in zip(texts, found, strict=True) for hit in hits)
        return found

    monkeypatch.setattr(Memory, "neighbours", spied)
    train(
        base,
        tmp_path / "data.tsv",
        tmp_path / "m",
        way=way,
        collection=tmp_path / "all",
        options=quick(max_tokens=48),
        device="cpu",
    )
    assert seen
    assert not [pair for pair in seen if pair[0].split() == (pair[1].text or "").split()]


def test_documents_are_kept_together_and_apart(base: Path, tmp_path: Path) -> None:
    rows = [f"{label}\t{text}\td{at // 4}" for at, (label, text) in enumerate(small.texts(48))]
    (tmp_path / "data.tsv").write_text("label\ttext\tdoc\n" + "\n".join(rows) + "\n", encoding="utf-8")
    options = quick(max_tokens=48, columns={"document": "doc"})
    examples = read_data(Looked(), tmp_path / "data.tsv", None, options)
    assert not set(examples.train.documents) & set(examples.validation.documents)
    train(base, tmp_path / "data.tsv", tmp_path / "m", way="concat", retrieval=Retrieval(4), options=options, device="cpu")
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        found = model.memory.neighbours(examples.train.texts, apart=True, documents=examples.train.documents)
        for own, hits in zip(examples.train.documents, found, strict=True):
            assert own not in [hit.metadata["document"] for hit in hits]


def test_another_encoder_may_find(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    other = tiny.make_model("roberta", tmp_path / "other")
    texts = [text for _, text in small.texts(48)]
    with new_memory(tmp_path / "facts", load_encoder(other, device="cpu"), Retrieval()) as memory:
        memory.add([str(at) for at in range(48)], texts)
    train(base, data, tmp_path / "m", way="concat", collection=tmp_path / "facts", options=quick(max_tokens=48), device="cpu")
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        assert model.described.encoder is None
        assert model.predict(["the law"])[0]["label"] in ("pos", "neg")
    with pytest.raises(OptionError, match="holds .*, which is learnt from"):
        train(base, data, tmp_path / "m", collection=tmp_path / "m", overwrite=True, device="cpu")


def test_a_label_that_cannot_be_said_is_refused(made: Path) -> None:
    with RetrievalAugmentedClassifier.open(made / "concat", device="cpu") as model:
        with pytest.raises(OptionError, match="'new' was never learnt, and concat can say none but those"):
            model.add(["a text"], ["new"])
        with pytest.raises(InputError, match="lists"):
            model.add("a text", ["pos"])
        with pytest.raises(InputError, match="must be a list of texts"):
            model.predict("a text")
        assert model.predict([]) == []


def test_cross_attention_by_hand() -> None:
    import torch

    from semvec.finetune.task import HeadConfig

    torch.manual_seed(0)

    class Encoded:
        dim = 6

        def encode(self, texts: list[str]) -> list[object]:
            class Rows:
                oov = np.zeros(3)

                def floats(self) -> np.ndarray:
                    return np.arange(18, dtype=np.float32).reshape(3, 6) / 18

            return [Rows() for _ in texts]

    head = CrossAttentionHead(HeadConfig(labels=("a", "b"), dropout=0.0), 12, 6).eval()
    head.bank = Bank(Encoded())  # type: ignore[arg-type]
    head.bank.add(["one", "two", "one"])
    assert head.bank.places == {"one": 1, "two": 2}
    again = head.bank.by(Encoded())  # type: ignore[arg-type]
    assert again.places == {"one": 1, "two": 2}
    np.testing.assert_array_equal(again.states, head.bank.states)
    hidden, mask = torch.randn(2, 5, 12), torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    batch = {"mask": mask, "found": torch.tensor([[1, 2], [0, 0]]), "marks": torch.tensor([[1, 0], [0, 0]])}
    with torch.inference_mode():
        bare = head.linear(pooled(hidden, mask, head.pooling))
        head.gates.zero_()
        torch.testing.assert_close(head.logits(hidden, batch), bare)  # closed gates: the text alone
        head.gates.fill_(0.5)
        found = head.logits(hidden, batch)
        torch.testing.assert_close(found[1], bare[1])  # no neighbours: as if there were no layer
        states = torch.from_numpy(Encoded().encode([""])[0].floats())  # type: ignore[attr-defined]
        read = torch.cat([head.into(states) + head.marks.weight[1], head.into(states) + head.marks.weight[0]])[None]
        tokens = hidden[:1]
        for norm, attend in zip(head.norms, head.attend, strict=True):
            tokens = tokens + np.tanh(0.5) * attend(norm(tokens), read, read)[0]
        torch.testing.assert_close(found[:1], head.linear(pooled(tokens, mask[:1], head.pooling)), atol=1e-5, rtol=1e-4)


def test_what_is_read_beside_a_text() -> None:
    hits = Hits((Hit("1", 0.9, "a  text\nof two", {"label": "x"}), Hit("2", 0.8, "y" * 500)))
    assert beside(hits) == f"x: a text of two ; {'y' * 320}"


def test_a_collection_of_ones_own(base: Path, made: Path, tmp_path: Path) -> None:
    copytree(made / "knn" / "memory", tmp_path / "facts.index")
    data = small.write("classify", tmp_path)
    train(
        base, data, tmp_path / "m", way="concat", collection=tmp_path / "facts.index", options=quick(max_tokens=48), device="cpu"
    )
    assert not (tmp_path / "m" / "memory").exists()
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        assert model.memory.collection.count() == 48 - 5
        model.remove([item.id for item in model.memory.collection.scan()])
        assert model.predict(["law"])[0]["label"] in ("pos", "neg")
    with pytest.raises(InputError, match="holds nothing that could be looked up"):
        train(base, data, tmp_path / "n", collection=tmp_path / "facts.index", device="cpu")


def test_it_is_examined_beside_the_model_alone(made: Path) -> None:
    with RetrievalAugmentedClassifier.open(made / "gate", device="cpu") as model:
        its = compared(model, made / "classify.tsv")
    assert its.size == 48
    assert any("of the 48 examples were learnt from" in note for note in its.notes)
    assert its.examined.items == 43
    assert its.examined.bytes > 43 * 4
    assert all(one >= 0 for one in its.examined.ms.values())
    assert set(its.lines) == {FOUND, ALONE}
    assert its.differences


def test_a_run_that_was_stopped_goes_on(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)

    class Stopped(Exception):
        pass

    def stop(step: Step) -> None:
        if step.stage == "training" and step.done == step.total:
            raise Stopped

    how = {"way": "concat", "options": quick(epochs=3, max_tokens=48), "device": "cpu"}
    with pytest.raises(Stopped):
        train(base, data, tmp_path / "m", progress=stop, **how)  # type: ignore[arg-type]
    with pytest.raises(ResumeMismatch, match="had other data, another model or other options"):
        train(base, data, tmp_path / "m", resume=True, **{**how, "way": "knn"})  # type: ignore[arg-type]
    resumed = train(base, data, tmp_path / "m", resume=True, **how)  # type: ignore[arg-type]
    unbroken = train(base, data, tmp_path / "n", **how)  # type: ignore[arg-type]
    assert resumed.record["validation"] == unbroken.record["validation"]
    assert not (tmp_path / "m.part").exists()
    with pytest.raises(OutputExists):
        train(base, data, tmp_path / "m", **how)  # type: ignore[arg-type]


def test_what_is_wrong_is_said(made: Path, base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    for wrong in ({"many": True}, {"knn": True}, {"search": 2}):
        with pytest.raises(OptionError):
            train(base, data, tmp_path / "m", options=quick(**wrong))
    with pytest.raises(ModelNotFound):
        RetrievalAugmentedClassifier.open(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no augment\.json"):
        RetrievalAugmentedClassifier.open(tmp_path)
    copytree(made / "knn", tmp_path / "damaged")
    (tmp_path / "n.part").mkdir()
    (tmp_path / "n.part" / "augment-run.json").write_text("{")
    with pytest.raises(ResumeMismatch, match="no unfinished run is there"):
        train(base, data, tmp_path / "n", resume=True)
    (tmp_path / "n.part" / "model").mkdir()
    with pytest.raises(OutputExists, match="an unfinished run is there"):
        train(base, data, tmp_path / "n")
    for text in ("x", "{}", '{"format": 9}', '{"format": 2, "way": "x", "retrieval": {}}', "[" * 100_000):
        (tmp_path / "damaged" / "augment.json").write_text(text)
        with pytest.raises(ModelError):
            RetrievalAugmentedClassifier.open(tmp_path / "damaged")


def test_a_weight_that_is_named_counts(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    train(base, data, tmp_path / "m", way="knn", weight=0.9, retrieval=Retrieval(2), options=quick(max_tokens=48), device="cpu")
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        assert model.described.weighing == Weighing(2, 0.1, 0.9)
        model.add(["nothing of the kind"], ["brand new"])
        assert model.predict(["nothing of the kind"])[0]["label"] == "brand new"
    for wrong in ({"way": "concat", "weight": 0.5}, {"way": "knn", "weight": 1.5}):
        with pytest.raises(OptionError, match="weight goes with knn and gate"):
            train(base, data, tmp_path / "n", device="cpu", **wrong)  # type: ignore[arg-type]


def test_neighbours_are_read_by_the_encoder_as_it_is(made: Path, base: Path) -> None:
    texts = ["freedom is a right", "the law of all"]
    with RetrievalAugmentedClassifier.open(made / "cross-attention", device="cpu") as model:
        hits = model.memory.neighbours(texts)
        model.weighed(texts, hits)
        bank: Any = model.answering.model.network.head.bank
        own, first = load_encoder(made / "cross-attention" / "model", device="cpu"), load_encoder(base, device="cpu")
        for at, text in ((bank.places[hit.text], hit.text) for its in hits for hit in its):
            learnt, before = (one.with_options(level="token", normalize=False).encode([text]).floats() for one in (own, first))
            kept = bank.states[at][: bank.counts[at]].astype(np.float32)
            np.testing.assert_allclose(kept, learnt, atol=2e-3)
            assert np.abs(kept - before).max() > 5e-3


def test_neighbours_are_read_anew_as_the_encoder_learns(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, weights = small.write("classify", tmp_path), []
    by = Bank.by

    def spied(self: Bank, encoder: Any) -> Bank:
        weights.append(encoder.weights)
        return by(self, encoder)

    monkeypatch.setattr(Bank, "by", spied)
    for strategy, times in (("full", 3), ("head", 0)):  # at each look, which is where the next epoch begins
        weights.clear()
        options = quick(strategy=strategy, epochs=3, max_tokens=48)
        train(base, data, tmp_path / strategy, way=Way.CROSS, retrieval=Retrieval(3), options=options, device="cpu")
        assert len(weights) == len(set(weights)) == times


def test_a_memory_of_bytes_finds_the_same(base: Path, tmp_path: Path) -> None:
    data, texts = small.write("classify", tmp_path), [text for _, text in small.texts(8, 7)]
    found = []
    for dtype in ("float32", "int8"):
        how = Retrieval(3, dtype=dtype)  # type: ignore[arg-type]
        train(base, data, tmp_path / dtype, way="knn", retrieval=how, options=quick(max_tokens=48), device="cpu")
        with RetrievalAugmentedClassifier.open(tmp_path / dtype, device="cpu") as model:
            assert model.memory.collection.settings.dtype == dtype == model.described.retrieval.dtype
            found.append(model.memory.neighbours(texts))
    for whole, less in zip(*found, strict=True):
        assert [hit.score for hit in less] == pytest.approx([hit.score for hit in whole], abs=0.02)


def test_a_model_that_was_tuned_is_taken_as_it_is(base: Path, tmp_path: Path) -> None:
    data, options = small.write("classify", tmp_path), quick(max_tokens=48)
    finetune("classify", base, data, tmp_path / "tuned", options=options, before=False, device="cpu")
    its = train(tmp_path / "tuned", data, tmp_path / "m", way="knn", weight=0.4, retrieval=Retrieval(2), as_is=True, device="cpu")
    assert its.record["as is"] is True
    texts = [text for _, text in small.texts(6, 9)]
    own = load_model(tmp_path / "tuned", device="cpu").predict(LabelledTexts(texts, [""] * 6))
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        for one, its in zip(own, model.alone(texts), strict=True):
            assert its["scores"] == pytest.approx(one["scores"], abs=1e-5)
        for one, its, hits in zip(own, model.predict(texts), model.found(texts), strict=True):
            heat = np.exp(np.array([hit.score for hit in hits]) / 0.1)
            near = sum(h for h, hit in zip(heat, hits, strict=True) if hit.metadata["label"] == "pos") / heat.sum()
            assert its["scores"]["pos"] == pytest.approx(0.4 * near + 0.6 * one["scores"]["pos"], abs=1e-4)
    with pytest.raises(InputError, match="has learnt from 43 of the 48 validation examples"):
        train(tmp_path / "tuned", data, tmp_path / "n", way="knn", as_is=True, validation=data, device="cpu")
    with pytest.raises(OptionError, match="has no use for options of training"):
        train(tmp_path / "tuned", data, tmp_path / "n", way="knn", as_is=True, options=options, device="cpu")
    with pytest.raises(OptionError, match="the ways knn and gate"):
        train(tmp_path / "tuned", data, tmp_path / "n", way="concat", as_is=True, device="cpu")
    with pytest.raises(ModelNotFound):
        train(tmp_path / "nowhere", data, tmp_path / "n", way="knn", as_is=True, device="cpu")
    finetune("tag", base, small.write("tag", tmp_path), tmp_path / "tagger", options=options, before=False, device="cpu")
    with pytest.raises(OptionError, match="one label a text"):
        train(tmp_path / "tagger", data, tmp_path / "o", way="knn", as_is=True, device="cpu")


@pytest.mark.parametrize("way", [Way.CROSS, Way.JOINT])
def test_a_run_that_was_stopped_inside_an_epoch_goes_on_as_if_it_had_not(
    way: Way, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, options = small.write("classify", tmp_path), quick(epochs=3, batch_size=8, max_tokens=48)
    monkeypatch.setattr(trainer, "STEPS_AT_MOST", 2)  # looks, and checkpoints, inside the epochs of six steps

    class Stopped(Exception):
        pass

    def stop(step: Step) -> None:
        if step.stage == "training" and step.done == 11:
            raise Stopped

    how = {"way": way, "retrieval": Retrieval(3), "options": options, "device": "cpu"}
    with pytest.raises(Stopped):
        train(base, data, tmp_path / "m", progress=stop, **how)  # type: ignore[arg-type]
    resumed = train(base, data, tmp_path / "m", resume=True, **how)  # type: ignore[arg-type]
    unbroken = train(base, data, tmp_path / "n", **how)  # type: ignore[arg-type]
    assert resumed.record["history"]["resumed at"] % 6
    assert resumed.record["history"]["looks"] == unbroken.record["history"]["looks"]
    weights = [load_file(tmp_path / one / "model" / "head.safetensors") for one in ("m", "n")]
    for name, its in weights[0].items():
        torch.testing.assert_close(its, weights[1][name])


def test_a_memory_that_was_filled_in_part_is_filled_to_its_end(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, how = small.write("classify", tmp_path), {"way": "knn", "options": quick(max_tokens=48), "device": "cpu"}
    add = Memory.add

    def torn(self: Memory, ids: list[str], texts: list[str], labels: list[str] | None = None, **fields: object) -> int:
        add(self, ids[:20], texts[:20], None if labels is None else labels[:20])
        raise KeyboardInterrupt

    monkeypatch.setattr(Memory, "add", torn)
    with pytest.raises(KeyboardInterrupt):
        train(base, data, tmp_path / "m", **how)  # type: ignore[arg-type]
    monkeypatch.setattr(Memory, "add", add)
    its = train(base, data, tmp_path / "m", resume=True, **how)  # type: ignore[arg-type]
    assert its.record["cost"]["items"] == 43


def test_what_an_item_says_of_itself_is_not_taken_for_what_was_found(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    rows = [text for _, text in small.texts(20)]
    with new_memory(tmp_path / "mine", load_encoder(base, device="cpu"), Retrieval()) as memory:
        odd = {"score": [5] * 20, "influence": ["high"] * 20, "id": ["X"] * 20, "document": [7] * 20}
        memory.add([str(at) for at in range(20)], rows, **odd)  # type: ignore[arg-type]
        memory.add(["n", "t", "l"], ["the law", "the right", "of all"], [1, True, [1]])  # type: ignore[list-item]
        assert [label_of(its) for its in memory.neighbours(["the law the right of all"], k=23)[0] if its.id in "ntl"]
        found = {its.id: label_of(its) for its in memory.neighbours(["the law"], k=23)[0]}
        assert (found["n"], found["t"], found["l"]) == ("1", "true", None)
        for its in memory.neighbours(rows, apart=True, documents=["7"] * 20):
            assert not {one.id for one in its} & {str(at) for at in range(20)}
    how = {"way": "knn", "weight": 0.5, "options": quick(max_tokens=48), "device": "cpu"}
    train(base, data, tmp_path / "m", collection=tmp_path / "mine", **how)  # type: ignore[arg-type]
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        [answer], [hits] = model.predict(["the law"], return_evidence=True), model.found(["the law"])
        assert [one["id"] for one in answer["neighbours"]] == hits.ids
        assert [one["score"] for one in answer["neighbours"]] == pytest.approx([hit.score for hit in hits])
        assert all(isinstance(one["influence"], float) for one in answer["neighbours"])
    with pytest.raises(OptionError, match="a collection keeps its own"):
        train(base, data, tmp_path / "o", collection=tmp_path / "mine", retrieval=Retrieval(dtype=Dtype.INT8), device="cpu")


def test_nothing_is_written_where_something_is_wrong(made: Path, tmp_path: Path) -> None:
    copytree(made / "knn", tmp_path / "knn")
    with RetrievalAugmentedClassifier.open(tmp_path / "knn", device="cpu") as model:
        model.answering.weighing = Weighing(8, 0.1, 0.5)  # type: ignore[attr-defined]
        before = model.memory.collection.count()
        for texts, labels, ids, said in (
            (["a law", "b\0"], ["pos", "pos"], None, "text 2: NUL"),
            (["a law"], ["\ud800"], None, "text 1: "),
            (["a law", "b law"], ["pos", "pos"], ["q", "q"], "given to two texts"),
            (["a law"], ["pos"], "q", "not one string"),
        ):
            with pytest.raises(InputError, match=said):
                model.add(texts, labels, ids)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="not one string"):
            model.remove("train-1")  # type: ignore[arg-type]
        assert model.memory.collection.count() == before
        assert model.add(["  ", "a law"], ["pos", "pos"], ["blank", "law"]) == ["law"]


def test_a_model_is_not_replaced_by_one_that_is_made_upon_it(made: Path, base: Path, tmp_path: Path) -> None:
    copytree(made / "knn", tmp_path / "a")
    how = {"options": quick(strategy="lora", max_tokens=48), "before": False, "device": "cpu"}
    finetune("classify", tmp_path / "a" / "model", made / "classify.tsv", tmp_path / "b", **how)  # type: ignore[arg-type]
    for given in ({"model": tmp_path / "b"}, {"model": base, "retriever": tmp_path / "b"}):
        with pytest.raises(OptionError, match="it would be replaced"):
            train(data=made / "classify.tsv", output=tmp_path / "a", way="knn", overwrite=True, device="cpu", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["way"], "concat"),
        (["task"], "tag"),
        (["task"], "qa"),
        (["task"], None),
        (["retrieval", "k"], 2.7),
        (["retrieval", "k"], float("inf")),
        (["retrieval", "hybrid"], "false"),
        (["weighing", "gate"], [float("nan")] * 6),
        (["weighing", "gate"], "123456"),
        (["weighing", "temperature"], float("inf")),
        (["weighing", "k"], True),
        (["record"], "x"),
        (["record", "cost"], 5),
        (["record", "validation"], {"a": 1}),
        (["record", "model"], 7),
        (["collection"], 7),
    ],
)
def test_what_was_changed_by_hand_is_told(place: list[str], value: object, made: Path, tmp_path: Path) -> None:
    copytree(made / "knn", tmp_path / "m")
    its = json.loads((tmp_path / "m" / "augment.json").read_text())
    at = its
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    (tmp_path / "m" / "augment.json").write_text(json.dumps(its))
    with pytest.raises(ModelError):
        open_model(tmp_path / "m", device="cpu")


def test_a_damaged_list_of_what_was_seen_is_told(made: Path, tmp_path: Path) -> None:
    copytree(made / "knn", tmp_path / "m")
    with RetrievalAugmentedClassifier.open(tmp_path / "m", device="cpu") as model:
        for content in (b"", b"\x93NUMPY", None):
            if content is None:
                np.save(tmp_path / "m" / "seen.npy", np.zeros(3))
            else:
                (tmp_path / "m" / "seen.npy").write_bytes(content)
            with pytest.raises(ModelError, match=r"seen\.npy: is damaged"):
                compared(model, made / "classify.tsv")
