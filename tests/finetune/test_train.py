"""Training: every task under every strategy comes back as it was stored; it learns, stops, resumes and refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, ModelError, OptionError, OutputError, OutputExists, ResumeMismatch
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.report import report
from semvec.finetune.train import finetune
from semvec.text.examples import LabelledTexts, read_labelled
from semvec.types import Step, Strategy
from tests import tiny
from tests.finetune import small
from tests.finetune.small import quick

TASKS = ["classify", "tag", "relation", "pairs", "qa"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {task: small.write(task, folder) for task in small.WRITERS}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("task", TASKS)
def test_what_is_stored_comes_back(task: str, strategy: Strategy, base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    options = quick(strategy=strategy, crf=task == "tag")
    made = finetune(task, base, data[task], tmp_path / "model", options=options, before=False)
    again = load_model(tmp_path / "model")
    examples = made.model.task.read(data[task], options)
    assert isinstance(made.model, FineTuned)
    assert isinstance(again, FineTuned)
    windows = made.model.windows(examples, labelled=False)
    for one, other in zip(made.model.logits(windows), again.logits(windows), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    encoder = load_encoder(tmp_path / "model")
    vectors = encoder.encode(["everyone has the right"], level="token", layers=again.config.layers[-1]).vectors
    assert np.isfinite(vectors).all()
    moved = np.abs(vectors - load_encoder(base).encode(["everyone has the right"], level="token").vectors).max()
    assert (moved > 0) == (strategy != Strategy.HEAD)


def test_how_much_learns(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    body = AutoModel.from_pretrained(base)
    named = {name: its.numel() for name, its in body.named_parameters()}
    d, layers, linear = tiny.HIDDEN, tiny.LAYERS, 6  # linear layers of a BERT's layer
    head = 2 * d + 2
    wide = 64 + d  # of the two of a feed-forward part, both sides of either
    wanted = {
        "full": sum(named.values()),
        "head": 0,
        "bitfit": sum(n for name, n in named.items() if name.endswith("bias")),
        "last-n": sum(n for name, n in named.items() if name.startswith(f"encoder.layer.{layers - 1}.")),
        "lora": layers * 2 * ((linear - 2) * 2 * d + 2 * wide),
        "prompt": 3 * d,
        "prefix": 3 * layers * 2 * d,
        "adapter": layers * (d * 4 + 4 + 4 * d + d),
    }
    for strategy, count in wanted.items():
        options = quick(strategy=strategy, last_layers=1, reduction=8)
        made = finetune("classify", base, data["classify"], tmp_path / strategy, options=options, before=False)
        assert made.record["parameters"]["learning"] == count + head, strategy


def test_it_learns_and_says_what_it_is_worth(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    options = quick(epochs=30, learning_rate=3e-3, patience=30)
    made = finetune("classify", base, data["classify"], tmp_path / "model", options=options)
    assert made.record["validation"]["accuracy"]["value"] == 1.0
    losses = [its["loss"] for its in made.record["history"]["losses"]]
    assert losses[-1] < losses[0] / 4
    answers = load_model(tmp_path / "model").predict(read_labelled(data["classify"]))
    gold = read_labelled(data["classify"]).labels
    assert np.mean([answer["label"] == label for answer, label in zip(answers, gold, strict=True)]) > 0.95
    assert all(abs(sum(answer["scores"].values()) - 1) < 1e-5 for answer in answers)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"README.md", "semvec.json", "head.safetensors", "training.png", "confusion.png", "before"} <= names
    assert not (tmp_path / "model.part").exists()


def test_a_whole_model_is_one_for_everybody(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    made = finetune(
        "classify",
        base,
        data["classify"],
        tmp_path / "m",
        options=quick(strategy="lora", learning_rate=1e-2),
        merge=True,
        before=False,
    )
    text = ["everyone has the right to freedom"]
    own = load_encoder(tmp_path / "m").encode(text).vectors
    np.testing.assert_allclose(own, SentenceTransformer(str(tmp_path / "m")).encode(text), atol=1e-5)
    hidden = AutoModel.from_pretrained(tmp_path / "m")
    assert hidden.config.model_type == "bert"
    before = load_encoder(base).encode(text).vectors
    assert np.abs(own - before).max() > 1e-3
    assert made.record["parameters"]["learning"] < 10_000


def test_an_adapter_is_one_of_peft(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune("classify", base, data["classify"], tmp_path / "m", options=quick(strategy="lora"), before=False)
    theirs = PeftModel.from_pretrained(AutoModel.from_pretrained(base), tmp_path / "m").eval()
    encoder = load_encoder(tmp_path / "m")
    ids = encoder.transformer.tokenizer.inner(["no one shall be held"], return_tensors="pt")  # type: ignore[attr-defined]
    with torch.inference_mode():
        wanted = theirs(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).last_hidden_state[0]
    found = encoder.encode(["no one shall be held"], level="token", special=True).vectors
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


class Killed(Exception):
    """Raised in the middle of a training."""


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    strategy: str, base: Path, data: dict[str, Path], tmp_path: Path
) -> None:
    options = quick(strategy=strategy, epochs=4, patience=9)

    def kill(step: Step) -> None:
        if step.unit == "steps" and step.done == 8:
            raise Killed

    whole = finetune("classify", base, data["classify"], tmp_path / "whole", options=options, before=False)
    with pytest.raises(Killed):
        finetune("classify", base, data["classify"], tmp_path / "cut", options=options, before=False, progress=kill)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(OutputExists, match="--resume goes on"):
        finetune("classify", base, data["classify"], tmp_path / "cut", options=options, before=False)
    with pytest.raises(ResumeMismatch, match="seed was 0"):
        finetune("classify", base, data["classify"], tmp_path / "cut", options=quick(strategy=strategy, seed=5), resume=True)
    steps: list[int] = []
    finetune(
        "classify", base, data["classify"], tmp_path / "cut", options=options, before=False, resume=True,
        progress=lambda step: steps.append(step.done) if step.unit == "steps" else None,
    )  # fmt: skip
    assert steps[0] > 1  # what was done is not done again
    for name in ("head.safetensors", *(["model.safetensors"] if strategy == "full" else ["adapter_model.safetensors"])):
        one, other = (load_file(tmp_path / folder / name) for folder in ("whole", "cut"))
        assert one.keys() == other.keys()
        for key in one:
            torch.testing.assert_close(one[key], other[key], atol=1e-6, rtol=1e-5)
    assert (
        whole.record["history"]["steps"]
        == json.loads((tmp_path / "cut" / "semvec.json").read_text())["record"]["history"]["steps"]
    )


def test_a_run_whose_folder_was_moved_keeps_its_best(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    def kill(step: Step) -> None:
        if step.unit == "steps" and step.done == 8:
            raise Killed

    options = quick(epochs=4, learning_rate=1e-9, head_learning_rate=1e-9)  # nothing gets better: the first look is the best
    with pytest.raises(Killed):
        finetune("classify", base, data["classify"], tmp_path / "one", options=options, before=False, progress=kill)
    (tmp_path / "one.part").rename(tmp_path / "two.part")
    finetune("classify", base, data["classify"], tmp_path / "two", options=options, before=False, resume=True)
    finetune("classify", base, data["classify"], tmp_path / "whole", options=options, before=False)
    one, other = (load_file(tmp_path / name / "head.safetensors") for name in ("two", "whole"))
    for name in one:
        assert torch.equal(one[name], other[name])


def test_two_runs_into_one_folder_are_refused(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    def another(step: Step) -> None:
        if step.unit == "steps":
            with pytest.raises(OutputError, match="another run is writing it"):
                finetune("classify", base, data["classify"], tmp_path / "m", options=quick(), overwrite=True)
            raise Killed

    with pytest.raises(Killed):
        finetune("classify", base, data["classify"], tmp_path / "m", options=quick(), before=False, progress=another)


def test_a_damaged_note_of_a_run_is_told(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "m.part").mkdir()
    (tmp_path / "m.part" / "run.json").write_text('{"dig')
    with pytest.raises(ResumeMismatch, match="run.json is damaged"):
        finetune("classify", base, data["classify"], tmp_path / "m", options=quick(), before=False, resume=True)


def test_the_difference_is_by_the_measure_that_was_chosen_by(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune("classify", base, data["classify"], tmp_path / "m", options=quick(measure="macro F1"))
    assert all(line.startswith("macro F1: ") for line in report(tmp_path / "m", data["classify"]).differences)


@pytest.mark.parametrize(("task", "changes"), [("classify", {"many": True, "balanced": True}), ("qa", {"knn": True})])
def test_options_without_effect_are_refused(
    task: str, changes: dict[str, object], base: Path, data: dict[str, Path], tmp_path: Path
) -> None:
    path = data[task]
    if task == "classify":
        path = small._table(tmp_path / "many.tsv", "labels\ttext", ["a,b\tx", "b\ty", "a\tz", "\tw"])
    with pytest.raises(OptionError, match="go with|goes with"):
        finetune(task, base, path, tmp_path / "m", options=quick(**changes), before=False)


def test_a_half_written_checkpoint_is_passed_over(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    def kill(step: Step) -> None:
        if step.unit == "steps" and step.done == 8:
            raise Killed

    options = quick(epochs=4)
    with pytest.raises(Killed):
        finetune("classify", base, data["classify"], tmp_path / "m", options=options, before=False, progress=kill)
    half = tmp_path / "m.part" / "checkpoints" / "checkpoint-7"
    half.mkdir()
    (half / "learnt.safetensors").write_bytes(b"half")
    assert finetune("classify", base, data["classify"], tmp_path / "m", options=options, before=False, resume=True).path.is_dir()


def test_training_stops_when_nothing_gets_better(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    options = quick(epochs=50, learning_rate=1e-9, head_learning_rate=1e-9, patience=2)
    made = finetune("classify", base, data["classify"], tmp_path / "m", options=options, before=False)
    assert len(made.record["history"]["looks"]) == 11  # the first, and 30 steps that were no better
    assert made.record["history"]["best_step"] == made.record["history"]["looks"][0]["step"]


def test_long_texts_are_read_whole(base: Path, tmp_path: Path) -> None:
    rows = [f"{label}\t{'the of and ' * 40}{small.SIGNS[label]}" for label, _ in small.texts(32)]
    path = small._table(tmp_path / "long.tsv", "label\ttext", rows)
    options = quick(epochs=40, learning_rate=3e-3, patience=40)
    made = finetune("classify", base, path, tmp_path / "m", options=options, before=False)
    assert made.model.parts(read_labelled(path)) >= 32
    assert made.record["validation"]["accuracy"]["value"] == 1.0  # the word that decides is behind what is read at once


def test_a_tagger_reads_all_words_of_long_sentences(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    made = finetune("tag", base, data["tag"], tmp_path / "m", options=quick(), before=False)
    text = tmp_path / "t.txt"
    text.write_text(" ".join(["the right of law"] * 60) + "\n", encoding="utf-8")
    examples = made.model.task.read_inputs(text, made.model.options)
    [answer] = made.model.predict(examples)
    assert len(answer["tags"]) == 240
    windows = made.model.windows(examples, labelled=False)
    assert sorted(word for window in windows for word in window.known["words"].tolist()) == list(range(240))


@pytest.mark.parametrize("kind", ["gpt2", "roberta", "llama", "t5"])
def test_encoders_of_every_kind(kind: str, data: dict[str, Path], tmp_path: Path) -> None:
    base = tiny.make_model(kind, tmp_path / kind)
    for strategy in ("lora", "adapter", "bitfit"):
        options = quick(strategy=strategy)
        if strategy == "bitfit" and kind in ("llama", "t5"):
            with pytest.raises(OptionError, match="no biases"):
                finetune("classify", base, data["classify"], tmp_path / "none", options=options, before=False)
            continue
        made = finetune("classify", base, data["classify"], tmp_path / strategy, options=options, before=False)
        again = load_model(tmp_path / strategy)
        windows = made.model.windows(read_labelled(data["classify"]), labelled=False)  # type: ignore[attr-defined]
        for one, other in zip(made.model.logits(windows), again.logits(windows), strict=True):  # type: ignore[attr-defined]
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_what_was_tuned_can_be_tuned_again(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune(
        "classify", base, data["classify"], tmp_path / "one", options=quick(strategy="lora", learning_rate=1e-2), before=False
    )
    finetune("tag", tmp_path / "one", data["tag"], tmp_path / "two", options=quick(strategy="lora"), before=False)
    assert load_model(tmp_path / "two").base.base == str(tmp_path / "one")
    shutil.rmtree(tmp_path / "one")
    with pytest.raises(ModelError, match="which is not here"):
        load_model(tmp_path / "two")


def test_another_encoder_in_its_place_is_refused(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(base, tmp_path / "base")
    finetune("classify", copy, data["classify"], tmp_path / "m", options=quick(strategy="lora"), before=False)
    shutil.rmtree(copy)
    tiny.make_model("bert", copy, spread=3.0)
    with pytest.raises(ModelError, match="was tuned from"):
        load_model(tmp_path / "m")


def test_what_a_model_is_made_of_is_not_taken_away(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "m"
    finetune("classify", base, data["classify"], place, options=quick(), before=False)
    finetune("classify", place, data["classify"], tmp_path / "lora", options=quick(strategy="lora"), before=False)
    for model in (place, tmp_path / "lora"):
        with pytest.raises(OptionError, match="is what this model would be made upon"):
            finetune("classify", model, data["classify"], place, options=quick(strategy="lora"), overwrite=True)
    own = shutil.copy(data["classify"], place / "train.tsv")
    with pytest.raises(OptionError, match="which is learnt from"):
        finetune("classify", base, own, place, options=quick(), overwrite=True)
    finetune("classify", place, data["classify"], place, options=quick(), before=False, overwrite=True)  # it is stored whole
    assert load_model(place).predict(read_labelled(data["classify"]))


def test_a_model_upon_itself_is_told(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune("classify", base, data["classify"], tmp_path / "m", options=quick(strategy="lora"), before=False)
    about = json.loads((tmp_path / "m" / "semvec.json").read_text())
    about["encoder"]["base"] = str(tmp_path / "m")
    (tmp_path / "m" / "semvec.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match="tuned upon itself"):
        load_model(tmp_path / "m")


def test_folders_of_others_are_left_alone(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    for name, file, text in (("m.part", "run.json", '{"my": "run"}'), ("m", "semvec.json", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
        (tmp_path / name / "novel.txt").write_text("precious")
    with pytest.raises(OutputExists, match="is no fine-tuned model"):
        finetune("classify", base, data["classify"], tmp_path / "m", options=quick(), overwrite=True)
    (tmp_path / "m").rename(tmp_path / "other")
    for overwrite in (False, True):
        with pytest.raises(OutputExists, match="is no unfinished run"):
            finetune("classify", base, data["classify"], tmp_path / "m", options=quick(), overwrite=overwrite)
    assert (tmp_path / "m.part" / "novel.txt").read_text() == (tmp_path / "other" / "novel.txt").read_text() == "precious"
    for name in (".", "/", ".."):
        with pytest.raises((OutputError, OutputExists)):
            finetune("classify", base, data["classify"], name, options=quick())


def test_a_damaged_checkpoint_is_passed_over(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    def kill(step: Step) -> None:
        if step.unit == "steps" and step.done == 8:
            raise Killed

    options = quick(epochs=4)
    with pytest.raises(Killed):
        finetune("classify", base, data["classify"], tmp_path / "m", options=options, before=False, progress=kill)
    last = max((tmp_path / "m.part" / "checkpoints").iterdir(), key=lambda path: int(path.name.partition("-")[2]))
    (last / "learnt.safetensors").write_bytes(b"junk")
    made = finetune("classify", base, data["classify"], tmp_path / "m", options=options, before=False, resume=True)
    assert made.record["history"]["resumed at"] < int(last.name.partition("-")[2])


def test_columns_are_called_as_one_likes(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    rows = [f'{label},"{text}"' for label, text in small.texts(40)]
    path = small._table(tmp_path / "own.csv", "stars,review", rows)
    with pytest.raises(InputError, match=r"no column 'label' or 'text'.*--column label="):
        finetune("classify", base, path, tmp_path / "m", options=quick(), before=False)
    with pytest.raises(InputError, match="no column 'opinion'"):
        finetune("classify", base, path, tmp_path / "m", options=quick(columns={"label": "stars", "text": "opinion"}))
    with pytest.raises(InputError, match="no column is wanted as 'txt'; wanted are label, text"):
        finetune("classify", base, path, tmp_path / "m", options=quick(columns={"txt": "review"}))
    made = finetune("classify", base, path, tmp_path / "m", options=quick(columns={"label": "stars", "text": "review"}))
    again = load_model(tmp_path / "m")
    assert again.task.read(path, again.options) == made.model.task.read(path, made.model.options)
    assert again.task.read_inputs(path, again.options).texts == [text for _, text in small.texts(40)]


@pytest.mark.parametrize(("task", "answer"), [("relation", "relation"), ("similarity", "score"), ("pairs", "label")])
def test_no_answers_are_wanted_where_they_are_asked_for(
    task: str, answer: str, base: Path, data: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / f"own{data[task].suffix}"
    own.write_text(data[task].read_text().replace(f'"{answer}":', '"mine":').replace(f"{answer}\t", "mine\t", 1))
    made = finetune(task, base, own, tmp_path / "m", options=quick(columns={answer: "mine"}), before=False)
    asked = own.with_stem("asked")
    asked.write_text(own.read_text().replace('"mine":', '"other":').replace("mine\t", "other\t", 1))
    assert len(made.model.predict(made.model.task.read_inputs(asked, made.model.options))) == 48


def test_a_report_says_what_the_model_knew_and_what_it_never_learnt(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    made = finetune("classify", base, data["classify"], tmp_path / "m", options=quick())
    notes = " ".join(report(tmp_path / "m", data["classify"]).notes)
    counts = made.record["examples"]
    assert f"{counts['train']} of the 48 examples were learnt from" in notes
    assert f"{counts['validation']} of the 48 examples decided which step" in notes
    new = small._table(tmp_path / "new.tsv", "label\ttext", ["pos\tfree", "neg\tbound", "maybe\twho knows", "maybe\tnobody"])
    its = report(tmp_path / "m", new)
    assert "labels that were not learnt, so that what has them is always wrong: 'maybe'" in its.notes
    assert not any("were learnt from" in note for note in its.notes)
    right = sum(answer["label"] == label for answer, label in zip(its.answers, ["pos", "neg", "maybe", "maybe"], strict=True))
    assert its.lines["fine-tuned"]["accuracy"]["value"] == right / 4
    assert [row.support for row in its.found.rows if row.name == "maybe"] == [2]
    with pytest.raises(InputError, match="is in no training example"):
        report(tmp_path / "m", small._table(tmp_path / "none.tsv", "label\ttext", ["x\tfree", "y\tbound"]))


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("seven", "max_tokens"),
        (None, "dropout"),
        (-1, "dropout"),
        ([10**12], "layers"),
        ([], "layers"),
        ([], "labels"),
        ("x", "many"),
    ],
)
def test_damaged_configurations_are_told(value: object, at: str, base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune("classify", base, data["classify"], tmp_path / "m", options=quick(strategy="head"), before=False)
    about = json.loads((tmp_path / "m" / "semvec.json").read_text())
    about["head"][at] = value
    (tmp_path / "m" / "semvec.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match=r"semvec.json is damaged"):
        load_model(tmp_path / "m")
    about["format"] = 99
    (tmp_path / "m" / "semvec.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match="of the format 99"):
        load_model(tmp_path / "m")


REFUSED = {
    "one label": ("label\ttext\na\tx y\na\tz\n", {}, InputError, "examples have the label 'a'"),
    "one example": ("label\ttext\na\tx y\n", {}, InputError, "cannot be split"),
    "no label": ("label\ttext\na\tx y\n\tz\n", {}, InputError, "line 3: the label is empty"),
    "measure": ("label\ttext\na\tx\nb\ty\na\tz\nb\tw\n", {"measure": "acuracy"}, OptionError, "did you mean 'accuracy'"),
    "layer": ("label\ttext\na\tx\nb\ty\na\tz\nb\tw\n", {"layers": (9,)}, OptionError, "no layer 9"),
    "virtual": (
        "label\ttext\na\tx\nb\ty\na\tz\nb\tw\n",
        {"strategy": "prompt", "virtual_tokens": 60},
        OptionError,
        "virtual_tokens 60: this model reads 64 tokens",
    ),
    "twice": ("label\ttext\ttext\na\tx\ty\n", {}, InputError, "two columns are called 'text'"),
    "length": ("label\ttext\na\tx\nb\ty\na\tz\nb\tw\n", {"max_tokens": 999}, OptionError, "more than the 64"),
    "last": (
        "label\ttext\na\tx\nb\ty\na\tz\nb\tw\n",
        {"strategy": "last-n", "last_layers": 9},
        OptionError,
        "more than the 3 layers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learnt_is_refused_before_it_begins(case: str, base: Path, tmp_path: Path) -> None:
    text, changes, error, message = REFUSED[case]
    (tmp_path / "d.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        finetune("classify", base, tmp_path / "d.tsv", tmp_path / "m", options=quick(**changes), before=False)
    assert not (tmp_path / "m").exists()


def test_labels_nobody_learnt_are_refused(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "v.tsv").write_text("label\ttext\npos\tx\nother\ty\n", encoding="utf-8")
    with pytest.raises(InputError, match="'other' is in no training example"):
        finetune("classify", base, data["classify"], tmp_path / "m", validation=tmp_path / "v.tsv", options=quick(), before=False)


def test_only_a_model_is_written_over(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(OutputExists):
            finetune("classify", base, data["classify"], tmp_path / "mine", options=quick(), overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_parts_that_cannot_be_merged_are_told_before_training(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="adds parts"):
        finetune("classify", base, data["classify"], tmp_path / "m", options=quick(strategy="adapter"), merge=True)


def test_the_seed_decides(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    state = torch.get_rng_state()
    heads = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        finetune("classify", base, data["classify"], tmp_path / name, options=quick(seed=seed), before=False)
        heads.append(load_file(tmp_path / name / "head.safetensors")["linear.weight"])
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(state, torch.get_rng_state())  # the generators of others are left as they were


def test_damaged_models_are_told(base: Path, data: dict[str, Path], tmp_path: Path) -> None:
    finetune("classify", base, data["classify"], tmp_path / "m", options=quick(strategy="lora"), before=False)
    (tmp_path / "m" / "head.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"head.safetensors is missing or damaged"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "semvec.json").write_text("{}")
    with pytest.raises(ModelError, match=r"semvec.json does not say"):
        load_model(tmp_path / "m")


def test_a_word_model_has_no_transformer(data: dict[str, Path], tmp_path: Path, glove_file: Any) -> None:
    with pytest.raises(OptionError, match="is a word model"):
        finetune("classify", glove_file, data["classify"], tmp_path / "m", options=quick())


def test_prefixes_take_positions_too(base: Path, tmp_path: Path) -> None:
    long = " ".join(text for _, text in small.texts(20))
    (tmp_path / "long.tsv").write_text("label\ttext\n" + "".join(f"{label}\t{long}\n" for label in ("pos", "neg") * 4))
    made = finetune(
        "classify",
        base,
        tmp_path / "long.tsv",
        tmp_path / "m",
        options=quick(strategy=Strategy.PREFIX),
        before=False,
        device="cpu",
    )
    assert made.model.config.max_tokens == tiny.POSITIONS - 3
    assert len(made.model.predict(LabelledTexts([long], [""]))) == 1


def test_a_full_disk_is_told(base: Path, tmp_path: Path) -> None:
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1)); "
        "from semvec.finetune.train import finetune; from tests.finetune.small import quick; "
        "finetune('classify', sys.argv[2], sys.argv[3], sys.argv[4], options=quick(epochs=2), before=False, device='cpu')"
    )
    data = small.write("classify", tmp_path)
    for limit in (50_000, 150_000):
        done = subprocess.run(
            [sys.executable, "-c", script, str(limit), str(base), str(data), str(tmp_path / f"m{limit}")],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent.parent.parent,
        )
        assert "semvec.errors.OutputError" in done.stderr.splitlines()[-1], done.stderr[-2000:]
