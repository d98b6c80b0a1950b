"""Few labelled texts: which pairs are drawn, that the head is scikit-learn's, what is stored and examined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, OptionError, OutputExists
from semvec.finetune.few_shot import A_TEXT, MANY, PAIRS, drawn_pairs, few_shot, fitted, shots_of
from semvec.finetune.loading import load_model
from semvec.finetune.shots import FEW_SHOT, HEAD, drawn_shots
from semvec.finetune.tuned import Loading
from semvec.text.examples import LabelledTexts, read_labelled
from semvec_cli.main import main
from tests.cli.test_encode import refused
from tests.finetune import small
from tests.finetune.small import quick

ROWS = small.texts(24)
EXAMPLES = LabelledTexts([text for _, text in ROWS], [label for label, _ in ROWS])


def test_pairs_are_of_one_label_or_of_two() -> None:
    label = dict(zip(EXAMPLES.texts, EXAMPLES.labels, strict=True))
    its = drawn_pairs(EXAMPLES, 60, 3)
    assert len(its) == 60
    assert its.kind == "labelled"
    assert sum(its.scores) == 30
    for first, second, score in zip(its.first, its.second, its.scores, strict=True):
        assert first != second
        assert (label[first] == label[second]) == bool(score)
    pairs = [frozenset(pair) for pair in zip(its.first, its.second, strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert drawn_pairs(EXAMPLES, 60, 3) == its != drawn_pairs(EXAMPLES, 60, 4)
    assert len(drawn_pairs(EXAMPLES, 10**9, 0)) <= 2 * A_TEXT * len(EXAMPLES)
    many = LabelledTexts([f"text {at}" for at in range(154)], [str(at // 2) for at in range(154)])  # one like pair a label
    its = drawn_pairs(many, 400, 0)
    assert sum(its.scores) == len(its) / 2 == 200
    assert (
        len({frozenset(pair) for pair, score in zip(zip(its.first, its.second, strict=True), its.scores, strict=True) if score})
        <= 77
    )
    for wrong in (LabelledTexts(["a", "b"], ["x", "y"]), LabelledTexts(["a", "a", "b"], ["x", "x", "y"])):
        with pytest.raises(InputError, match="no two different texts have the same label"):
            drawn_pairs(wrong, 10, 0)


def test_the_same_seed_makes_the_same_model(base: Path, tmp_path: Path) -> None:
    data, about = small.write("classify", tmp_path), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        few_shot(base, data, tmp_path / name / "m", pairs=40, options=quick(), device="cpu")
        its = json.loads((tmp_path / name / "m" / "semvec.json").read_text())
        its["record"]["seconds"] = 0
        about.append(its)
        assert its["encoder"]["base"] == str(base.resolve())
        assert its["options"]["epochs"] == 1
    assert about[0] == about[1]
    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / name / "m").glob("*.safetensors")} for name in ("one", "two")
    )
    assert one == two


@pytest.mark.parametrize("strategy", ["last-n", "lora", "dora", "ia3", "bitfit"])
def test_what_a_strategy_learnt_is_stored(strategy: str, base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    made: Any = few_shot(base, data, tmp_path / "m", pairs=40, options=quick(strategy=strategy, learning_rate=0.05), device="cpu")
    its: Any = load_model(tmp_path / "m", device="cpu")
    for one, other in zip(its.predict(EXAMPLES), made.model.predict(EXAMPLES), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)
    before, after = (load_encoder(one, device="cpu").encode(["the law"]).floats() for one in (base, tmp_path / "m"))
    assert np.abs(before - after).max() > 1e-4


@pytest.mark.parametrize("strategy", ["adapter", "prefix", "prompt", "head"])
def test_what_cannot_be_stored_whole_is_refused_before(strategy: str, base: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        few_shot(base, small.write("classify", tmp_path), tmp_path / "m", options=quick(strategy=strategy), device="cpu")
    assert not [one for one in tmp_path.iterdir() if one.name != "classify.tsv"]


def test_long_texts_count_once(base: Path, tmp_path: Path) -> None:
    long = " ".join(EXAMPLES.texts)
    examples = LabelledTexts([long, *EXAMPLES.texts[:6]], ["pos", *EXAMPLES.labels[:6]])
    tuned, _ = fitted(base, examples, tmp_path, pairs=0, options=quick(), loading=Loading("cpu"))
    windows: Any = tuned.read_once(tuned.windows(examples, labelled=True), None)
    owners = np.array([its.owner for its in windows])
    assert (owners == 0).sum() > 1
    rows = np.stack([its.inputs["features"] for its in windows])
    scaled = (rows - rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).mean()
    labels = [examples.labels[owner] for owner in owners]
    its = LogisticRegression(C=10, max_iter=1000).fit(scaled, labels, 1 / np.bincount(owners)[owners])
    wanted = its.decision_function(scaled)
    logits = np.stack(tuned.logits(windows))
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], wanted, atol=0.02)


@pytest.mark.parametrize("labels", [2, 3])
def test_the_head_is_a_logistic_regression(labels: int, base: Path, tmp_path: Path) -> None:
    examples = LabelledTexts(EXAMPLES.texts, [f"{label} {at % (labels - 1)}" for at, label in enumerate(EXAMPLES.labels)])
    tuned, learnt = fitted(base, examples, tmp_path, pairs=0, options=quick(), loading=Loading("cpu"))
    assert learnt == {"pairs": 0, "by": "pairs", "learning": 0, "all": 0}
    hidden = [
        its.floats()
        for its in load_encoder(base, device="cpu").encode(examples.texts, level="token", special=True, normalize=False)
    ]
    vectors = np.stack([its.mean(axis=0) for its in hidden])
    scaled = (vectors - vectors.mean(axis=0)) / np.linalg.norm(vectors, axis=1).mean()
    its = LogisticRegression(C=10, max_iter=1000).fit(scaled, examples.labels)
    wanted = its.predict_proba(scaled)
    for answer, row in zip(tuned.predict(examples), wanted, strict=True):
        assert [answer["scores"][label] for label in its.classes_] == pytest.approx(row.tolist(), abs=2e-3)


def test_what_is_made_is_a_model_like_any_other(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    made: Any = few_shot(base, data, tmp_path / "m", pairs=64, options=quick(), device="cpu")
    assert made.record["few shot"]["pairs"] == 64
    assert made.record["parameters"]["learning"] > 0
    its: Any = load_model(tmp_path / "m", device="cpu")
    for one, other in zip(its.predict(EXAMPLES), made.model.predict(EXAMPLES), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)
    before, after = (load_encoder(one, device="cpu").encode(["the law"]).floats() for one in (base, tmp_path / "m"))
    assert np.abs(before - after).max() > 1e-4  # the encoder has learnt
    assert "was not measured" in (tmp_path / "m" / "README.md").read_text()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".m.")]
    with pytest.raises(OutputExists):
        few_shot(base, data, tmp_path / "m", device="cpu")
    with pytest.raises(OptionError, match="knn does not go with few-shot"):
        few_shot(base, data, tmp_path / "n", options=quick(knn=True), device="cpu")
    (tmp_path / "one.tsv").write_text("label\ttext\na\tthe law\na\tfreedom\n")
    with pytest.raises(InputError, match="two are needed"):
        few_shot(base, tmp_path / "one.tsv", tmp_path / "n", device="cpu")


def test_draws(base: Path, tmp_path: Path) -> None:
    rows = shots_of(EXAMPLES.labels, 3, 5)
    assert sorted(EXAMPLES.labels[at] for at in rows) == ["neg"] * 3 + ["pos"] * 3
    assert rows == shots_of(EXAMPLES.labels, 3, 5) != shots_of(EXAMPLES.labels, 3, 6)
    data = tmp_path / "set"
    data.mkdir()
    for name, first in (("train", 0), ("test", 24)):
        lines = [f"{label}\t{text}" for label, text in small.texts(24, first)]
        (data / f"{name}.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n")
    its = drawn_shots(base, data, shots=4, repeats=2, pairs=20, options=quick(), device="cpu")
    assert (its.shots, its.labels, its.fewer, its.test) == (4, 2, 0, 24)
    assert [len(one) for one in its.accuracies.values()] == [2, 2]
    assert its.spread(HEAD)[0] == np.mean(its.accuracies[HEAD])
    gaps = np.subtract(its.accuracies[FEW_SHOT], its.accuracies[HEAD])
    assert its.gain == pytest.approx((gaps.mean(), gaps.std(ddof=1)))
    how = ["few-shot", "-m", str(base), "--data", str(data), "--device", "cpu", "--pairs", "20", "--batch-size", "8", "-q"]
    shown = CliRunner().invoke(main, [*how, "--shots", "4", "--repeats", "1", "--json"])
    assert json.loads(shown.stdout)["accuracies"][HEAD] == pytest.approx(its.accuracies[HEAD][:1])
    assert "few-shot: " in CliRunner().invoke(main, [*how, "--shots", "4", "--repeats", "1"]).stdout
    made = CliRunner().invoke(main, [*how[:-1], "-o", str(tmp_path / "m")])
    assert "24 examples, 20 pairs of them" in made.stdout
    refused(CliRunner().invoke(main, [*how, "--shots", "4", "--data", str(data / "train.tsv")]), "a folder with train and test")
    refused(CliRunner().invoke(main, [*how, "--shots", "4", "--overwrite"]), "--overwrite goes with --output")
    refused(CliRunner().invoke(main, how), "--output")
    refused(CliRunner().invoke(main, [*how, "-o", str(tmp_path / "n"), "--json"]), "--json and --repeats go with --shots")


def test_the_gain_has_an_interval() -> None:
    from scipy.stats import ttest_rel

    from semvec.finetune.shots import Drawn

    accuracies = {HEAD: [0.5, 0.6, 0.55, 0.52], FEW_SHOT: [0.7, 0.65, 0.72, 0.6]}
    its = Drawn(8, 2, 0, 100, accuracies)
    wanted = ttest_rel(accuracies[FEW_SHOT], accuracies[HEAD]).confidence_interval()
    assert its.gain_interval == pytest.approx((wanted.low, wanted.high))
    assert Drawn(8, 2, 0, 100, {HEAD: [0.5], FEW_SHOT: [0.6]}).gain_interval is None


def test_by_labels_the_fitted_head_learns_on_with_the_encoder(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    options = quick(learning_rate=1e-9, head_learning_rate=1e-9, epochs=1, dropout=0.0, weight_decay=0.0)
    still = few_shot(base, data, tmp_path / "still", by="labels", options=options, device="cpu")
    fitted_alone = few_shot(base, data, tmp_path / "fitted", pairs=0, device="cpu")
    for one, other in zip(still.model.predict(EXAMPLES), fitted_alone.model.predict(EXAMPLES), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-3)  # nothing moved: the head is the logistic regression
    learnt = few_shot(base, data, tmp_path / "m", by="labels", options=quick(learning_rate=1e-3, epochs=8), device="cpu")
    assert learnt.record["few shot"]["by"] == "labels"
    assert learnt.record["parameters"]["learning"] == learnt.record["parameters"]["all"] > 0
    again = load_model(tmp_path / "m", device="cpu")
    for one, other in zip(learnt.model.predict(EXAMPLES), again.predict(EXAMPLES), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    gold = [row[0] for row in small.texts(48)]
    right = np.mean([one["label"] == label for one, label in zip(again.predict(read_labelled(data)), gold, strict=True)])
    assert right > 0.9
    before, now = (load_encoder(its, device="cpu").encode(["the law"]).vectors for its in (base, tmp_path / "m"))
    assert not np.allclose(before, now, atol=1e-3)
    assert "learnt on with the encoder" in (tmp_path / "m" / "README.md").read_text()


def test_many_texts_are_learnt_by_labels_and_few_by_pairs(base: Path, tmp_path: Path) -> None:
    for count, way in ((MANY + 1, "labels"), (24, "pairs")):
        rows = small.texts(count)
        some = LabelledTexts([text for _, text in rows], [label for label, _ in rows])
        (tmp_path / way).mkdir()
        _, about = fitted(base, some, tmp_path / way, pairs=PAIRS, options=quick(epochs=0.1), loading=Loading("cpu"))
        assert about["by"] == way
