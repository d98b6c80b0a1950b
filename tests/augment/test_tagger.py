"""A tagger that reads others' sentences behind its own: what it reads, by hand; stored, opened, taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semvec.augment.examples import FoundSentences, notes
from semvec.augment.kinds import open_model
from semvec.augment.memory import Retrieval
from semvec.augment.report import compared
from semvec.augment.tagger import Helped, RetrievalAugmentedTagger
from semvec.augment.train import train
from semvec.augment.ways import beside
from semvec.errors import InputError, ModelError, OptionError
from semvec.results import Hit, Hits
from semvec.text.tagged import TaggedSentences
from tests.finetune import small
from tests.finetune.small import quick


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger")
    options = quick(max_tokens=48, epochs=3)
    train(
        base,
        small.write("tag", folder),
        folder / "m",
        task="tag",
        way="concat",
        retrieval=Retrieval(2),
        options=options,
        device="cpu",
    )
    return folder


def test_what_is_read_by_hand(made: Path) -> None:
    with RetrievalAugmentedTagger.open(made / "m", device="cpu") as its:
        assert isinstance(its.model, Helped)
        hits = Hits((Hit("1", 0.9, "the law of all", {"label": "law (KIND)"}), Hit("2", 0.8, "no right")))
        words = [["everyone", "has", "freedom"], ["one"]]
        tokenizer = its.model.encoder.transformer.tokenizer
        windows = its.model.windows(FoundSentences(words, [["O"] * 3, ["O"]], [hits, Hits(())]), labelled=False)
        [own, other, behind] = (tokenizer([text])[0].ids for text in ("everyone has freedom", "one", beside(hits)))
        front, end = tokenizer.prefix, tokenizer.suffix
        whole = np.concatenate([front, own, end, behind])[: 48 - len(end)]
        np.testing.assert_array_equal(windows[0].inputs["ids"], [*whole, *end])
        np.testing.assert_array_equal(windows[1].inputs["ids"], [*front, *other, *end])
        assert windows[0].inputs["places"].tolist()[0] == len(front)
        said = its.tagged(words, [hits, Hits(())])
        assert [len(answer["tags"]) for answer in said] == [3, 1]


def test_it_is_opened_taught_and_examined(made: Path) -> None:
    with open_model(made / "m", device="cpu") as its:
        assert isinstance(its, RetrievalAugmentedTagger)
        asked = [text.split() for _, text in small.texts(4, 9)]
        answers = its.predict(asked, return_evidence=True)
        for words, answer in zip(asked, answers, strict=True):
            assert answer["words"] == words
            assert len(answer["neighbours"]) == 2
            assert {"id", "text", "label", "score", "influence"} == set(answer["neighbours"][0])
        hits = its.memory.neighbours([" ".join(asked[0])])
        one, less = its.tagged(asked[:1], hits), its.tagged(asked[:1], [Hits(hits[0].hits[1:])])
        pairs = zip(one[0]["tags"], one[0]["scores"], less[0]["tags"], less[0]["scores"], strict=True)
        lost = [score - (again if tag == said else 0) for tag, score, said, again in pairs if tag != "O"]
        assert answers[0]["neighbours"][0]["influence"] == pytest.approx(np.mean(lost) if lost else 0.0, abs=1e-4)
        before = its.memory.collection.count()
        ids = its.add(TaggedSentences([asked[0]], [["O"] * len(asked[0])]))
        assert its.memory.collection.count() == before + 1
        assert its.memory.neighbours([" ".join(asked[0])])[0][0].id == ids[0]
        assert its.remove(ids) == 1
        assert compared(its, made / "tag.conll").size == 48
        with pytest.raises(InputError, match="lists of words"):
            its.predict(["a text"])
        assert its.predict([]) == []


def test_what_is_noted_of_a_sentence() -> None:
    examples = TaggedSentences([["New", "York", "is", "big"], ["no"]], [["B-place", "I-place", "O", "O"], ["O"]])
    assert notes(examples) == ["New York (place)", "-"]


def test_what_does_not_go(made: Path, base: Path, tmp_path: Path) -> None:
    from semvec.augment.classifier import RetrievalAugmentedClassifier

    data = small.write("tag", tmp_path)
    with pytest.raises(OptionError, match="by the way concat, not by gate"):
        train(base, data, tmp_path / "m", task="tag")
    with pytest.raises(OptionError, match="for classify and tag, not for 'qa'"):
        train(base, data, tmp_path / "m", task="qa")
    with pytest.raises(ModelError, match="is for tag, not for classify"):
        RetrievalAugmentedClassifier.open(made / "m")
