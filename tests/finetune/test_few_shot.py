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
from semvec.finetune.few_shot import A_TEXT, drawn_pairs, few_shot, fitted, shots_of
from semvec.finetune.loading import load_model
from semvec.finetune.shots import FEW_SHOT, HEAD, drawn_shots
from semvec.finetune.tuned import Loading
from semvec.text.examples import LabelledTexts
from semvec_cli.main import main
from tests.cli.test_encode import refused
from tests.finetune import small
from tests.finetune.small import quick

ROWS = small.texts(24)
EXAMPLES = LabelledTexts([text for _, text in ROWS], [label for label, _ in ROWS])


def test_pairs_are_of_one_label_or_of_two() -> None:
    label = dict(zip(EXAMPLES.texts, EXAMPLES.labels, strict=True))
    its = drawn_pairs(EXAMPLES, 60, 3)
    assert len(its) <= 60
    assert its.kind == "labelled"
    assert sum(its.scores) == pytest.approx(len(its) / 2, abs=2)
    for first, second, score in zip(its.first, its.second, its.scores, strict=True):
        assert first != second
        assert (label[first] == label[second]) == bool(score)
    pairs = [frozenset(pair) for pair in zip(its.first, its.second, strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert drawn_pairs(EXAMPLES, 60, 3) == its != drawn_pairs(EXAMPLES, 60, 4)
    assert len(drawn_pairs(EXAMPLES, 10**9, 0)) <= 2 * A_TEXT * len(EXAMPLES)
    with pytest.raises(InputError, match="no label has two examples"):
        drawn_pairs(LabelledTexts(["a", "b"], ["x", "y"]), 10, 0)


@pytest.mark.parametrize("labels", [2, 3])
def test_the_head_is_a_logistic_regression(labels: int, base: Path, tmp_path: Path) -> None:
    examples = LabelledTexts(EXAMPLES.texts, [f"{label} {at % (labels - 1)}" for at, label in enumerate(EXAMPLES.labels)])
    tuned, learnt = fitted(base, examples, tmp_path, pairs=0, options=quick(), loading=Loading("cpu"))
    assert learnt == {"pairs": 0, "learning": 0, "all": 0}
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
    with pytest.raises(OptionError, match="do not go with few-shot"):
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
    assert (its.shots, its.labels, its.test) == (4, 2, 24)
    assert [len(one) for one in its.accuracies.values()] == [2, 2]
    assert its.spread(HEAD)[0] == np.mean(its.accuracies[HEAD])
    gaps = np.subtract(its.accuracies[FEW_SHOT], its.accuracies[HEAD])
    assert its.gain == pytest.approx((gaps.mean(), gaps.std(ddof=1)))
    how = ["few-shot", "-m", str(base), "--data", str(data), "--device", "cpu", "--pairs", "20", "--batch-size", "8", "-q"]
    shown = CliRunner().invoke(main, [*how, "--shots", "4", "--repeats", "1", "--json"])
    assert json.loads(shown.stdout)["accuracies"][HEAD] == pytest.approx(its.accuracies[HEAD][:1])
    refused(CliRunner().invoke(main, how), "--output")
    refused(CliRunner().invoke(main, [*how, "-o", str(tmp_path / "m"), "--json"]), "--json goes with --shots")
