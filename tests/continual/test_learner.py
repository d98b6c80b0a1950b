"""One task after the other: what every strategy keeps, says, stores and goes on from; which tasks fit which stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from semvec.continual.learner import ContinualLearner
from semvec.continual.options import ContinualOptions, ContinualStrategy
from semvec.continual.task import ContinualTask, split_by_labels
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, LabelRepeated, ModelError, OptionError, OutputExists, ResumeMismatch
from semvec.finetune.loading import load_model
from semvec.finetune.options import FinetuneOptions
from semvec.text.examples import LabelledTexts
from tests.continual.conftest import stream, texts

TRAINED = [its for its in ContinualStrategy if its not in ("ncm", "knn")]


def options(strategy: str, **changes: Any) -> ContinualOptions:
    finetune = FinetuneOptions(epochs=changes.pop("epochs", 2), learning_rate=2e-3, batch_size=16)
    return ContinualOptions(**{"strategy": strategy, "memory": 20, "fisher_samples": 8, "finetune": finetune, **changes})


def learner(base: Path, strategy: str, **changes: Any) -> ContinualLearner:
    return ContinualLearner(base, options=options(strategy, **changes), device="cpu")


@pytest.mark.parametrize(
    ("scenario", "strategy"),
    [
        *(("class", its) for its in ContinualStrategy),
        *(("task", its) for its in ("replay", "lwf", "adapters", "knn")),
        *(("domain", its) for its in ("der", "ewc", "adapters", "ncm")),
    ],
)
def test_what_is_stored_says_the_same_and_goes_on_the_same(strategy: str, scenario: str, base: Path, tmp_path: Path) -> None:
    tasks = stream("ab", "ab", "ab") if scenario == "domain" else stream("ab", "cd", "ef")
    if scenario == "domain":
        tasks = [ContinualTask(f"task {at}", its.train, its.test) for at, its in enumerate(tasks)]
    one = learner(base, strategy, scenario=scenario, epochs=1)
    one.expect(tasks)
    for task in tasks[:2]:
        one.learn(task)
    one.save(tmp_path / "l")
    other = ContinualLearner.load(tmp_path / "l", device="cpu")
    other.expect(tasks)
    asked = tasks[0].test.texts  # type: ignore[union-attr]
    named = tasks[0].name if scenario == "task" else None
    for _ in range(2):
        said, again = one.predict(asked, task=named), other.predict(asked, task=named)
        assert [its["label"] for its in said] == [its["label"] for its in again]
        for its, same in zip(said, again, strict=True):
            assert its["scores"] == pytest.approx(same["scores"], abs=1e-5)
            assert sum(its["scores"].values()) == pytest.approx(1, abs=1e-4)
            assert its["score"] == max(its["scores"].values())
        if scenario == "task":
            assert set(said[0]["scores"]) == {"a", "b"}
        for its in (one, other):
            if len(its.tasks) == 2:
                its.learn(tasks[2])
    assert one.report().accuracies == pytest.approx(other.report().accuracies, nan_ok=True)
    assert [its["bytes"] for its in one.tasks] == [its["bytes"] for its in other.tasks]


def test_naive_training_forgets_and_what_is_replayed_stays(base: Path) -> None:
    found = {}
    for strategy in ("naive", "replay", "ewc", "joint"):
        its = learner(base, strategy, epochs=6, **({"strength": 1e6, "fisher_samples": 48} if strategy == "ewc" else {}))
        for task in stream("ab", "cd", "ef", count=80):
            its.learn(task)
        found[strategy] = its.report().measures
    assert found["naive"]["forgetting"] > 0.6  # type: ignore[operator]
    for strategy in ("replay", "joint"):
        assert found[strategy]["forgetting"] < 0.3  # type: ignore[operator]
        assert found[strategy]["average accuracy"] > found["naive"]["average accuracy"] + 0.3  # type: ignore[operator]
    assert found["ewc"]["forgetting"] < found["naive"]["forgetting"]  # type: ignore[operator]


def test_joint_learns_all_examples_so_far(base: Path) -> None:
    tasks = stream("ab", "cd")
    one, other = learner(base, "joint", epochs=8), learner(base, "joint", epochs=8)
    for task in tasks:
        one.learn(task)
    both = LabelledTexts([*tasks[0].train.texts, *tasks[1].train.texts], [*tasks[0].train.labels, *tasks[1].train.labels])
    other.learn(ContinualTask("all", both))
    assert one.labels == other.labels
    assert one.report().accuracies[1].mean() > 0.8
    assert one.method.bytes == other.method.bytes == sum(len(text) + 1 for text in both.texts)


def test_class_means_are_those_of_all_examples_whatever_order_they_came_in(base: Path) -> None:
    tasks, encoder = stream("ab", "cd"), load_encoder(base, device="cpu")
    its = learner(base, "ncm")
    for task in tasks:
        its.learn(task)
    more = texts("ace", 9, 77)
    its.add(more.texts, more.labels)
    every = [*tasks[0].train.texts, *tasks[1].train.texts, *more.texts]
    labels = np.array([*tasks[0].train.labels, *tasks[1].train.labels, *more.labels])
    vectors = encoder.encode(every, level="text").vectors
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([vectors[labels == label].sum(axis=0) for label in "abcde"])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    asked = texts("abcde", 20, 5).texts
    own = encoder.encode(asked, level="text").vectors
    wanted = (own / np.linalg.norm(own, axis=1, keepdims=True)) @ means.T
    said = its.predict(asked)
    assert its.labels == ("a", "b", "c", "d", "e")
    assert [one["label"] for one in said] == ["abcde"[at] for at in wanted.argmax(axis=1)]
    shares = np.exp(wanted / 0.05) / np.exp(wanted / 0.05).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([list(one["scores"].values()) for one in said], shares, atol=1e-4)


def test_the_nearest_examples_say_their_labels(base: Path) -> None:
    its = learner(base, "knn", k=1)
    [first, second] = stream("ab", "cd")
    its.learn(first)
    its.learn(second)
    assert [one["label"] for one in its.predict(second.train.texts)] == second.train.labels
    its.add(["something quite new"], ["e"])
    assert its.predict(["something quite new"])[0]["label"] == "e"


def test_adapters_say_of_which_task_a_text_is(base: Path) -> None:
    tasks = stream("ab", "cd")
    its = learner(base, "adapters", epochs=6)
    for task in tasks:
        its.learn(task)
    encoder, trained = load_encoder(base, device="cpu"), [task.train for task in tasks]
    means = [
        encoder.encode([text for text, its_own in zip(part.texts, part.labels, strict=True) if its_own == label], level="text")
        for part, label in zip([trained[0], trained[0], trained[1], trained[1]], "abcd", strict=True)
    ]
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    centres = unit(np.stack([unit(one.vectors).mean(axis=0) for one in means]))
    asked = tasks[0].test.texts + tasks[1].test.texts  # type: ignore[union-attr]
    nearest = (unit(encoder.encode(asked, level="text").vectors) @ centres.T).argmax(axis=1) // 2
    assert [one["task"] for one in its.predict(asked)] == [tasks[at].name for at in nearest.tolist()]
    told = its.predict(tasks[1].test.texts, task="task cd")  # type: ignore[union-attr]
    assert {one["label"] for one in told} <= {"c", "d"}
    inferred = its.predict(tasks[1].test.texts)  # type: ignore[union-attr]
    right = [one["task"] == "task cd" for one in inferred]
    for one, other, same in zip(inferred, told, right, strict=True):
        assert not same or one["label"] == other["label"]


def test_the_learner_becomes_an_ordinary_model(base: Path, tmp_path: Path) -> None:
    its = learner(base, "replay")
    [first, second] = stream("ab", "cd")
    its.learn(first)
    its.learn(second)
    its.export(tmp_path / "m")
    asked = second.test
    said = load_model(tmp_path / "m", device="cpu").predict(asked)
    for one, other in zip(said, its.predict(asked.texts), strict=True):  # type: ignore[union-attr]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    with pytest.raises(OptionError, match="no single network"):
        learned_means(base).export(tmp_path / "n")


def learned_means(base: Path) -> ContinualLearner:
    its = learner(base, "ncm")
    its.learn(stream("ab")[0])
    return its


@pytest.mark.parametrize("strategy", ["head", "lora", "bitfit"])
def test_less_than_the_whole_encoder_may_learn(strategy: str, base: Path, tmp_path: Path) -> None:
    its = learner(base, "replay", finetune=FinetuneOptions(strategy=strategy, epochs=1))  # type: ignore[arg-type]
    for task in stream("ab", "cd"):
        its.learn(task)
    its.save(tmp_path / "l")
    again = ContinualLearner.load(tmp_path / "l", device="cpu").predict(["the law"])
    assert its.predict(["the law"])[0]["scores"] == pytest.approx(again[0]["scores"], abs=1e-5)
    if strategy == "head":
        model = its.method.tuned.body  # type: ignore[attr-defined]
        assert not any(weight.requires_grad for weight in model.parameters())
        fresh = AutoModel.from_pretrained(base).state_dict()
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(weight.cpu(), fresh[name])


def test_tasks_that_do_not_fit_are_refused(base: Path) -> None:
    its = learned_means(base)
    with pytest.raises(LabelRepeated, match="label 'a' was learnt before"):
        its.learn(ContinualTask("again", texts("ac", 8, 0)))
    its.learn(ContinualTask("again", texts("ac", 8, 0)), repeats=True)
    assert its.labels == ("a", "b", "c")
    with pytest.raises(InputError, match="'again' was learnt before"):
        its.learn(ContinualTask("again", texts("de", 8, 0)))
    with pytest.raises(InputError, match="nothing in it"):
        its.learn(ContinualTask("empty", LabelledTexts([], [])))
    with pytest.raises(InputError, match="label 'f' of its test"):
        its.learn(ContinualTask("test", texts("d", 8, 0), texts("f", 2, 0)))
    its.learn(ContinualTask("one label", texts("d", 8, 0)))
    assert its.labels[-1] == "d"
    with pytest.raises(InputError, match="first task must have two"):
        learner(base, "ncm").learn(ContinualTask("one", texts("a", 8, 0)))
    domain = learner(base, "ncm", scenario="domain")
    domain.learn(stream("ab")[0])
    with pytest.raises(InputError, match="label 'c' is new"):
        domain.learn(stream("ac")[0])
    with pytest.raises(InputError, match="label 'c' is new"):
        domain.add(["a text"], ["c"])


def test_questions_that_make_no_sense_are_refused(base: Path, tmp_path: Path) -> None:
    its = learner(base, "ncm", scenario="task")
    with pytest.raises(InputError, match="nothing was learnt"):
        its.predict(["a text"])
    with pytest.raises(InputError, match="nothing was learnt"):
        its.save(tmp_path / "l")
    its.learn(stream("ab")[0])
    with pytest.raises(OptionError, match="which one texts are of: 'task ab'"):
        its.predict(["a text"])
    with pytest.raises(OptionError, match="'task x' was not learnt"):
        its.predict(["a text"], task="task x")
    with pytest.raises(InputError, match="text 1"):
        its.predict(["a text", 3], task="task ab")  # type: ignore[list-item]
    assert its.predict([], task="task ab") == []
    plain = learned_means(base)
    with pytest.raises(OptionError, match="a task is told in the scenario task"):
        plain.predict(["a text"], task="task ab")
    with pytest.raises(InputError, match="2 texts and 1 labels"):
        plain.add(["a", "b"], ["a"])
    trained = learner(base, "naive", epochs=1)
    trained.learn(stream("ab")[0])
    with pytest.raises(OptionError, match="ncm and knn take examples in"):
        trained.add(["a"], ["a"])
    untested = learner(base, "ncm")
    untested.learn(ContinualTask("t", texts("ab", 8, 0)))
    with pytest.raises(InputError, match="after task 't' task 't' was not examined"):
        untested.report()


@pytest.mark.parametrize("strategy", ["replay", "ewc", "adapters", "ncm"])
def test_what_is_damaged_is_said(strategy: str, base: Path, tmp_path: Path) -> None:
    its, place = learner(base, strategy, epochs=1), tmp_path / "l"
    its.learn(stream("ab")[0])
    its.save(place)
    with pytest.raises(OutputExists):
        its.save(place)
    its.save(place, overwrite=True)
    for file in sorted(place.iterdir()):
        if file.suffix == ".safetensors" or file.name in ("memory.json", "continual.json", "apart.json"):
            was = file.read_bytes()
            for wrong in (was[: len(was) // 2], b"", b"{}"):
                file.write_bytes(wrong)
                with pytest.raises(ModelError, match=file.name.partition(".")[0]):
                    ContinualLearner.load(place, device="cpu")
            file.write_bytes(was)
    ContinualLearner.load(place, device="cpu")
    about = json.loads((place / "continual.json").read_text())
    (place / "continual.json").write_text(json.dumps({**about, "weights": "0" * 64}))
    with pytest.raises(ModelError, match="weights differ"):
        ContinualLearner.load(place, device="cpu")
    with pytest.raises(ModelError, match="no continual learner"):
        ContinualLearner.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "ewcc"}, "did you mean"),
        ({"memory": 0}, "memory must be from 1"),
        ({"memory": 2.5}, "memory must be a whole number"),
        ({"finetune": FinetuneOptions(knn=True)}, "knn does nothing"),
        ({"strategy": "adapters", "finetune": FinetuneOptions(strategy="prompt")}, "not by prompt"),  # type: ignore[arg-type]
    ],
)
def test_options_that_are_none_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        ContinualOptions(**changes)


def test_labels_are_split_into_tasks() -> None:
    train, test = texts("abcdef", 30, 0), texts("abcdef", 12, 1)
    tasks = list(split_by_labels(train, test, 3, 5))
    assert sorted(label for task in tasks for label in set(task.train.labels)) == list("abcdef")
    assert [len(task.train) for task in tasks] == [10, 10, 10]
    assert all(set(task.test.labels) == set(task.train.labels) for task in tasks)  # type: ignore[union-attr]
    assert tasks == list(split_by_labels(train, test, 3, 5)) != list(split_by_labels(train, test, 3, 6))
    with pytest.raises(OptionError, match="from 2 to 3"):
        list(split_by_labels(train, test, 4, 0))


def test_a_task_of_one_new_label_is_learnt_by_every_strategy(base: Path) -> None:
    for strategy in ("ewc", "online-ewc", "lwf"):
        its = learner(base, strategy, epochs=10, **({} if strategy == "lwf" else {"strength": 1.0}))
        its.learn(stream("ab")[0])
        its.learn(stream("c")[0])
        said = {one["label"] for one in its.predict(texts("c", 10, 3).texts)}
        assert "c" in said, strategy


def test_what_is_replayed_differs_from_epoch_to_epoch(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semvec.continual import teaching

    seen: list[tuple[int, ...]] = []
    was = teaching.collate

    def collated(windows: Any, pad: int) -> Any:
        seen.append(tuple(window.owner for window in windows if window.inputs.get("replayed", 0) > 0))
        return was(windows, pad)

    monkeypatch.setattr(teaching, "collate", collated)
    its = learner(base, "replay", epochs=6)
    its.learn(stream("ab")[0])
    its.learn(ContinualTask("few", texts("cd", 8, 1)))
    drawn = [one for one in seen if one]
    assert len(drawn) >= 6
    assert len(set(drawn)) == len(drawn)


def test_lora_of_adapters_is_theirs_alone(base: Path) -> None:
    apart = ContinualOptions(strategy="adapters")  # type: ignore[arg-type]
    assert apart.taught_by.strategy == "lora"
    assert ContinualLearner(base, "naive", options=apart).options.taught_by.strategy == "full"


def test_a_failed_call_leaves_the_learner_as_it_was(base: Path, tmp_path: Path) -> None:
    its = learned_means(base)
    for wrong in ((["a\ud800"], ["z"]), ([3], ["z"]), (["x"], [""]), ("ab", "xy"), (["x"], ["y", "z"])):
        with pytest.raises(InputError):
            its.add(*wrong)  # type: ignore[arg-type]
    assert its.labels == ("a", "b")
    its.predict(["the law"])
    its.save(tmp_path / "l")
    ContinualLearner.load(tmp_path / "l")
    with pytest.raises(InputError, match="not one string"):
        its.predict("the law")
    for train in (LabelledTexts(["x", "y", "z"], ["c", "d"]), LabelledTexts(["x", 3], ["c", "d"]), LabelledTexts(["x", "y"], ["c", 3]), LabelledTexts([" ", ""], ["c", "d"])):  # type: ignore[list-item]  # fmt: skip
        with pytest.raises(InputError, match="task 'wrong'"):
            its.learn(ContinualTask("wrong", train))
    for name in ("", " ", None, "a\ud800"):
        with pytest.raises(InputError, match="no name for a task"):
            its.learn(ContinualTask(name, texts("cd", 4, 0)))  # type: ignore[arg-type]
    own = learner(base, "ncm", scenario="task")
    with pytest.raises(InputError, match="must not have ' / ' in it"):
        own.learn(ContinualTask("a / b", texts("cd", 4, 0)))


def test_nothing_is_exported_over_what_it_is_made_upon(base: Path, tmp_path: Path) -> None:
    first = learner(base, "naive", epochs=1)
    first.learn(stream("ab")[0])
    first.export(tmp_path / "m")
    upon = ContinualLearner(tmp_path / "m", options=options("naive", epochs=1), device="cpu")
    upon.learn(stream("ab")[0])
    with pytest.raises(OptionError, match="made upon"):
        upon.export(tmp_path / "m", overwrite=True)
    own = learner(base, "naive", scenario="task", epochs=1)
    own.learn(stream("ab")[0])
    with pytest.raises(OptionError, match="never told apart"):
        own.export(tmp_path / "n")


def test_a_training_goes_on_only_with_what_was_begun(base: Path, tmp_path: Path) -> None:
    its = learner(base, "naive", epochs=1)
    [first, second] = stream("ab", "cd")
    its.learn(first, checkpoints=tmp_path)
    with pytest.raises(ResumeMismatch, match="another task"):
        its.learn(second, checkpoints=tmp_path, resume=True)
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    with pytest.raises(OutputExists, match="of no training"):
        learner(base, "naive", epochs=1).learn(first, checkpoints=tmp_path / "mine")
