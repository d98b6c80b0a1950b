"""The transformer in scikit-learn's own machinery: conformance, pipelines, grids, clones, pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from semvec.adapters.sklearn import SemvecVectorizer
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError
from tests import tiny
from tests.sample import TEXTS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.make_sentence_model(tmp_path_factory.mktemp("base")))


def test_it_conforms_to_scikit_learn(base: str) -> None:
    found = check_estimator(SemvecVectorizer(base, device="cpu"), on_fail=None)
    failed = {its["check_name"]: its["exception"] for its in found if its["status"] == "failed"}
    assert not failed
    assert any(its["status"] == "passed" for its in found)  # most are for tables of numbers, and skipped


def test_vectors_are_those_of_the_encoder(base: str) -> None:
    its = SemvecVectorizer(base, truncate_dim=6, normalize=True, device="cpu")
    found = its.fit_transform(TEXTS[:5])
    wanted = load_encoder(base, device="cpu").encode(TEXTS[:5], truncate_dim=6, normalize=True).floats()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.dtype == np.float32
    assert its.get_feature_names_out().tolist() == [f"semvecvectorizer{at}" for at in range(6)]
    np.testing.assert_allclose(its.transform(np.array(TEXTS[:5], dtype=object)), wanted, atol=1e-5)
    assert its.transform([]).shape == (0, 6)


def test_it_is_searched_cloned_and_pickled(base: str) -> None:
    texts = [f"the {word} of all" for word in ("law", "freedom")] * 12
    labels = [0, 1] * 12
    pipeline = make_pipeline(SemvecVectorizer(base, device="cpu"), LogisticRegression(C=100.0, max_iter=2000))
    grid = GridSearchCV(
        pipeline, {"semvecvectorizer__truncate_dim": [4, None], "semvecvectorizer__pooling": ["mean", "max"]}, cv=2
    )
    grid.fit(texts, labels)
    assert len(grid.cv_results_["params"]) == 4
    best = grid.best_estimator_
    content = pickle.dumps(best)
    assert len(content) < 100_000  # the model is not in it
    np.testing.assert_array_equal(pickle.loads(content).predict_proba(texts), best.predict_proba(texts))
    again = clone(best)
    assert again[0].get_params() == best[0].get_params()
    assert not hasattr(again[0], "fingerprint_")


@pytest.mark.parametrize("wrong", ["one text", [1, 2], [["a", "b"]], [None], np.zeros((2, 3))])
def test_what_is_no_text_is_refused(wrong: Any, base: str) -> None:
    with pytest.raises(InputError):
        SemvecVectorizer(base, device="cpu").fit(wrong)


def test_another_model_under_the_same_name_is_refused(base: str, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "m"
    shutil.copytree(base, place)
    content = pickle.dumps(SemvecVectorizer(str(place), device="cpu").fit(TEXTS[:2]))
    shutil.rmtree(place)
    other = tiny.make_sentence_model(tmp_path / "other", dense=True)
    other.rename(place)
    with pytest.raises(InputError, match="its weights differ"):
        pickle.loads(content).transform(TEXTS[:2])


def test_a_table_is_no_column(base: str) -> None:
    import pandas as pd

    for table in (pd.DataFrame({"text": ["a"], "n": [1]}), pd.DataFrame({"text": ["a"]}), {"text": ["a"]}):
        with pytest.raises(InputError, match="choose a column"):
            SemvecVectorizer(base).fit(table)  # type: ignore[arg-type]
