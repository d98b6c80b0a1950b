"""``semvec evaluate``, ``compare`` and ``datasets`` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import semvec
from semvec.evaluate.compare import compare
from semvec.evaluate.datasets import DATASETS
from semvec.evaluate.tasks import TASKS
from tests.cli.test_encode import refused, run

ROOT = Path(__file__).parent.parent.parent
PAIRS = ROOT / "examples" / "similarity.tsv"
RIGHTS = ROOT / "examples" / "data" / "human_rights.txt"


def test_two_models_in_one_table(glove_file: Path, sentence_folder: Path) -> None:
    given = ("evaluate", "sts", glove_file, sentence_folder, "--data", PAIRS, "--resamples", 100)
    shown = run(*given).output
    assert "sts, " in shown
    assert "(24 pairs)" in shown
    assert "TF-IDF (baseline)" in shown
    assert "spearman, paired:" in shown
    assert "no difference shown" in shown  # 24 pairs, and two models that know next to nothing
    table = run(*given, "--format", "markdown", "--no-baselines").output
    assert "| spearman | pearson |" in table
    assert "baseline" not in table
    (found,) = json.loads(run(*given, "--format", "json").output)
    assert [one["baseline"] for one in found["models"]] == [False, False, True]
    assert found["options"]["resamples"] == 100
    interval = found["models"][0]["measures"]["spearman"]
    assert f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]" in shown


def test_every_task_is_offered_with_the_options_it_heeds() -> None:
    offered = run("evaluate", "--help").output
    for name in TASKS:
        shown = run("evaluate", name, "--help").output
        assert f"  {name} " in offered
        assert f"semvec evaluate {name} " in shown
        assert ("--mode" in shown) == (name == "retrieval")
        assert ("--shots" in shown) == (name == "classify")


def test_what_is_refused(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "labels.tsv").write_text("label\tsentence1\tsentence2\n1\ta\tb\n0\tc\td\n")
    (tmp_path / "flat.tsv").write_text("score\tsentence1\tsentence2\n3\ta\tb\n3\tc\td\n")
    for given, said in (
        (("sts", glove_file, "--data", tmp_path / "no.tsv"), "no.tsv: is not there; sts wants a table"),
        (("sts", glove_file, "--data", tmp_path / "flat.tsv"), "2 pairs, all of them scored 3"),
        (("sts", glove_file), "Missing option '--data'"),
        (("sts", "--data", PAIRS), "Missing argument 'MODEL...'"),
        (("stss", glove_file, "--data", PAIRS), "no task 'stss' (did you mean 'sts'?)"),
        (("sts", "no-such-model", "--data", PAIRS), "no-such-model"),
        (("retrieval", glove_file, "--data", PAIRS), "is no folder; retrieval data are"),
        (("retrieval", glove_file, "--data", tmp_path, "--measure", "MRR"), "no measure 'MRR'"),
        (("pairs", glove_file, "--data", tmp_path / "labels.tsv", "--train", tmp_path), "holds no train.tsv"),
    ):
        refused(run("evaluate", *given), said)


def test_what_is_kept_and_how_names_are_shown(tmp_path: Path, glove_file: Path) -> None:
    name = tmp_path / "a|b_\n.vec"
    name.write_bytes(Path(glove_file).read_bytes())
    given = ("evaluate", "sts", name, "--data", PAIRS, "--resamples", 100, "-o", tmp_path / "kept")
    shown = run(*given, "--format", "markdown").output
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {4}
    kept = tmp_path / "kept" / "sts-similarity"
    assert len((kept / "a-b_-.vec.jsonl").read_text().splitlines()) == 24
    refused(run(*given), "report.json: exists already; --overwrite replaces it")
    assert "spearman" in run(*given, "--overwrite").output
    refused(run(*given[:-2], "--overwrite"), "--overwrite does nothing without --output")
    refused(run("evaluate", "sts", glove_file, "--data", ""), "--data '' names no file")


def test_two_models_without_labels(glove_file: Path, sentence_folder: Path) -> None:
    from scipy.stats import spearmanr

    given = ("compare", glove_file, sentence_folder, "--texts", RIGHTS, "-k", 5)
    texts = list(dict.fromkeys(RIGHTS.read_text(encoding="utf-8").splitlines()))
    vectors = [semvec.load_encoder(name).encode(texts).vectors.astype(np.float64) for name in (glove_file, sentence_folder)]
    told = vectors[0].any(axis=1) & vectors[1].any(axis=1)
    texts, scores, near = [text for text, one in zip(texts, told, strict=True) if one], [], []
    for rows in vectors:
        unit = rows[told] / np.linalg.norm(rows[told], axis=1, keepdims=True)
        scores.append(unit @ unit.T)
        order = scores[-1].copy()
        np.fill_diagonal(order, -np.inf)
        near.append(np.argsort(-order, axis=1, kind="stable")[:, :5])
    shown = run(*given, "--most", 1).output
    assert f"{told.sum()} different texts, {(~told).sum()} left out" in shown
    assert "texts/s" in shown
    found = json.loads(run(*given, "--format", "json").output)
    shares = np.array([len(set(a) & set(b)) / 5 for a, b in zip(*near, strict=True)])
    assert found["overlap"]["value"] == pytest.approx(shares.mean(), abs=0.02)
    assert found["chance"] == pytest.approx(5 / (told.sum() - 1))
    others = ~np.eye(len(texts), dtype=bool)
    agreement = [spearmanr(a[its], b[its]).statistic for a, b, its in zip(*scores, others, strict=True)]
    assert found["agreement"]["value"] == pytest.approx(np.mean(agreement), abs=0.01)
    worst = sorted(shares)[: len(found["moved"])]
    assert [one["overlap"] for one in found["moved"]] == pytest.approx(worst, abs=0.21)
    first = texts.index(found["moved"][0]["text"])
    assert found["moved"][0]["second"][0] == texts[near[1][first][0]]


def test_a_model_agrees_with_itself(word: semvec.WordEncoder) -> None:
    texts = ["the bank", "river of Paris", "the river", "don't bank", "Paris", "of the", "é bank"]
    found = compare([("a", word), ("b", word)], [*texts, "the bank"], k=2)
    assert (found.texts, found.overlap.value, found.agreement.value, found.moved) == (7, 1, pytest.approx(1), ())
    with pytest.raises(semvec.SemvecError, match="7 different texts are too few to compare 9"):
        compare([("a", word), ("b", word)], texts, k=9)
    with pytest.raises(semvec.SemvecError, match="two models are compared, not 1"):
        compare([("a", word)], texts)


def test_public_data_are_listed() -> None:
    assert {one for its in DATASETS for one in its.task.split(", ")} == set(TASKS)
    assert len(json.loads(run("datasets", "--json").output)) == len(DATASETS)
    assert "scifact" in run("datasets", "retrieval").output
    refused(run("datasets", "stss"), "did you mean 'sts'")
