"""A fine-tuned model that is pruned: taught by the whole one, stored and loaded, quick to refuse."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, ModelError, OptionError, ResumeMismatch
from semvec.finetune.distilled import taught_loss
from semvec.finetune.fewer import Pruned
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.prune import PrunedModel, taught
from semvec.finetune.report import report
from semvec.finetune.train import finetune
from semvec.finetune.tuned import Loading
from semvec.types import Step
from tests.finetune import small
from tests.finetune.small import quick

SCHEDULE = ((1, 0.5), (2, 0.25))


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    small.write("classify", folder)
    finetune("classify", base, folder / "classify.tsv", folder / "m", options=quick(), before=False)
    return folder


def pruned(whole: Path, output: Path, before: bool = False, **options: object) -> PrunedModel:
    data = whole / "classify.tsv"
    made = finetune("classify", whole / "m", data, output, options=quick(prune=SCHEDULE, **options), before=before).model
    assert isinstance(made, PrunedModel)
    return made


def test_what_is_stored_comes_back(whole: Path, tmp_path: Path) -> None:
    made = pruned(whole, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert isinstance(again, FineTuned)
    assert isinstance(again.body, Pruned)
    assert again.config.prune == SCHEDULE
    windows = made.windows(made.task.read(whole / "classify.tsv", made.options), labelled=False)
    together = made.logits(windows)
    for one, other, window in zip(together, again.logits(windows), windows, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
        np.testing.assert_allclose(one, made.logits([window])[0], atol=1e-4)  # whatever else is in the batch
    assert made.record["history"]["times as fast"] > 0
    assert "50% from layer 1 on, 25% from layer 2 on of the tokens" in (tmp_path / "m" / "README.md").read_text()
    assert load_encoder(str(tmp_path / "m")).encode(["a text"]).vectors.shape[0] == 1  # reads all tokens, as encoders do


def test_it_begins_as_the_whole_model_and_hears_what_that_says(whole: Path) -> None:
    its = load_model(whole / "m")
    assert isinstance(its, FineTuned)
    assert not isinstance(its, PrunedModel)
    examples, loading = its.task.read(whole / "classify.tsv", its.options), Loading()
    begun = PrunedModel.start(its.task, whole / "m", examples, quick(prune=SCHEDULE), loading)
    windows = its.windows(examples, labelled=True)
    wanted = its.logits(windows)
    with begun.body.whole():
        said = begun.logits(windows)
    for one, other in zip(wanted, said, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert all(np.array_equal(its.inputs["taught"], row) for its, row in zip(taught(windows, wanted), wanted, strict=True))
    assert not np.allclose(np.stack(begun.logits(windows)), np.stack(wanted), atol=1e-4)


def test_the_whole_model_is_beside_it(whole: Path, tmp_path: Path) -> None:
    pruned(whole, tmp_path / "m", before=True)
    its = report(tmp_path / "m", whole / "classify.tsv")
    alone = report(whole / "m", whole / "classify.tsv", baselines=False)
    assert its.lines["whole model"]["accuracy"]["value"] == alone.lines["fine-tuned"]["accuracy"]["value"]
    assert load_model(tmp_path / "m" / "before").config.prune == ()


def test_routers_learn(whole: Path, tmp_path: Path) -> None:
    made = pruned(whole, tmp_path / "m", epochs=20, dropout=0.0)
    examples = made.task.read(whole / "classify.tsv", made.options)
    start = PrunedModel.start(made.task, whole / "m", examples, made.options, Loading())
    for layer in ("1", "2"):
        before, after = (its.body.routers[layer].linear.weight.detach() for its in (start, made))
        assert not torch.equal(before, after)


def test_what_is_taught_by_hand() -> None:
    rng = np.random.default_rng(0)
    said, wanted = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    found = taught_loss(torch.from_numpy(said), torch.from_numpy(wanted)).item()
    shares = softmax(wanted / 2, axis=1)
    by_hand = 4 * (shares * (np.log(shares) - log_softmax(said / 2, axis=1))).sum(1).mean()
    assert found == pytest.approx(by_hand, rel=1e-5)
    scores = torch.tensor([[1.0], [2.0]])
    assert taught_loss(scores, scores + 2).item() == pytest.approx(4.0)
    p, q = 1 / (1 + np.exp(-said)), 1 / (1 + np.exp(-wanted))
    many = taught_loss(torch.from_numpy(said), torch.from_numpy(wanted), many=True).item()
    assert many == pytest.approx(-(q * np.log(p) + (1 - q) * np.log(1 - p)).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "lora"}, "strategy full"),
        ({"knn": True}, "keeps no neighbours"),
        ({"prune": ((9, 0.5),)}, "no layer 9"),
        ({"prune": ((1, 0.5), (1, 0.25))}, "named twice"),
        ({"prune": ((1, 0.25), (2, 0.5))}, "cannot keep a greater share"),
        ({"prune": ((1, 0.0),)}, "more than 0"),
        ({"prune": "x"}, "pairs of a layer and a share"),
        ({"many": True}, "labels of another kind"),
        ({"pooling": "cls"}, "pooling is as the model has it"),
        ({"max_tokens": 16}, "max_tokens is as the model has it"),
        ({"head": "router"}, "head is as the model has it"),
        ({"prune": ((1.5, 0.5),)}, "pairs of a layer and a share"),
    ],
)
def test_what_cannot_be_pruned_so(options: dict[str, object], message: str, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        finetune("classify", whole / "m", whole / "classify.tsv", tmp_path / "m", options=quick(**{"prune": SCHEDULE, **options}))


def test_what_cannot_be_pruned(whole: Path, base: Path, tmp_path: Path) -> None:
    data, options = whole / "classify.tsv", quick(prune=SCHEDULE)
    with pytest.raises(OptionError, match=r"names a model that 'semvec finetune classify' made, and .* is none"):
        finetune("classify", base, data, tmp_path / "m", options=options)
    with pytest.raises(OptionError, match="is for 'classify'"):
        finetune("pairs", whole / "m", small.write("pairs", tmp_path), tmp_path / "m", options=options)
    (tmp_path / "other.tsv").write_text("label\ttext\na\tone\nb\ttwo\n" * 4, encoding="utf-8")
    with pytest.raises(InputError, match="training data: the label 'a' is none that .* has learnt"):
        finetune("classify", whole / "m", tmp_path / "other.tsv", tmp_path / "m", options=options)
    finetune("classify", base, data, tmp_path / "lora", options=quick(strategy="lora"), before=False)
    with pytest.raises(OptionError, match="store that one whole"):
        finetune("classify", tmp_path / "lora", data, tmp_path / "m", options=options)
    router = finetune("classify", base, data, tmp_path / "router", options=quick(head="router"), before=False)
    with pytest.raises(OptionError, match="which chooses tokens itself"):
        finetune("classify", router.path, data, tmp_path / "m", options=options)
    last = finetune("classify", base, data, tmp_path / "last", options=quick(pooling="last_token"), before=False)
    with pytest.raises(OptionError, match="reads the last token"):
        finetune("classify", last.path, data, tmp_path / "m", options=options)
    for task in ("tag", "relation", "similarity"):
        with pytest.raises(OptionError, match=f"prune is for labels and scores of texts, not for {task}"):
            finetune(task, base, small.write(task, tmp_path), tmp_path / "m", options=options)
    pruned(whole, tmp_path / "once")
    with pytest.raises(OptionError, match="is pruned already"):
        finetune("classify", tmp_path / "once", data, tmp_path / "m", options=options)


def test_damage_is_told(whole: Path, tmp_path: Path) -> None:
    pruned(whole, tmp_path / "m")
    copytree(tmp_path / "m", tmp_path / "d")
    (tmp_path / "d" / "routers.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="routers.safetensors is missing or damaged"):
        load_model(tmp_path / "d")


def test_options_are_as_they_were_written() -> None:
    its = FinetuneOptions(prune=((4, 0.25), (2, 0.5)))
    assert its.prune == ((2, 0.5), (4, 0.25))
    assert FinetuneOptions().changed(dict(its.to_json())) == its  # type: ignore[arg-type]


def test_pairs_with_scores_and_long_texts(base: Path, tmp_path: Path) -> None:
    data = small.write("pairs", tmp_path)
    finetune("pairs", base, data, tmp_path / "whole", options=quick(max_tokens=12), before=False)
    made = finetune("pairs", tmp_path / "whole", data, tmp_path / "m", options=quick(prune=SCHEDULE), before=False).model
    assert isinstance(made, PrunedModel)
    assert made.config.max_tokens == 12
    examples = made.task.read(data, made.options)
    windows = made.windows(examples, labelled=False)
    assert "types" in windows[0].inputs
    assert len(windows) > len(examples)  # long ones are read in several
    for window, together in zip(windows[:8], made.logits(windows), strict=False):
        np.testing.assert_allclose(made.logits([window])[0], together, atol=1e-4)


def test_a_run_that_was_stopped_goes_on(whole: Path, tmp_path: Path) -> None:
    data, options = whole / "classify.tsv", quick(prune=SCHEDULE, epochs=4)
    unbroken = finetune("classify", whole / "m", data, tmp_path / "one", options=options, before=False)

    class Stopped(Exception):
        pass

    def stop(step: Step) -> None:
        if step.stage == "training" and step.done == step.total:
            raise Stopped

    with pytest.raises(Stopped):
        finetune("classify", whole / "m", data, tmp_path / "two", options=options, before=False, progress=stop)
    with pytest.raises(ResumeMismatch, match="seed was 0"):
        finetune("classify", whole / "m", data, tmp_path / "two", options=quick(prune=SCHEDULE, epochs=4, seed=3), resume=True)
    again = finetune("classify", whole / "m", data, tmp_path / "two", options=options, before=False, resume=True)
    one, other = (its.model.task.read(data, options) for its in (unbroken, again))
    for left, right in zip(unbroken.model.predict(one), again.model.predict(other), strict=True):
        assert left["score"] == pytest.approx(right["score"], abs=1e-5)
