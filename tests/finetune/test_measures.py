"""What answers are worth, against reference libraries and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from seqeval.metrics import classification_report as by_seqeval
from sklearn.metrics import classification_report, f1_score

from semvec.finetune.answer import QuestionAnswering, best_spans, normalised, token_f1
from semvec.finetune.classify import Classify
from semvec.finetune.relation import directed_macro_f1, mark
from semvec.finetune.tag import Tag, span_rows
from semvec.finetune.task import HeadConfig, class_rows, split_off
from semvec.finetune.windows import Window
from semvec.text.examples import LabelledTexts, ManyLabelled
from semvec.text.questions import Questions
from semvec.text.tagged import TaggedSentences

RNG = np.random.default_rng(4)


def test_classes_as_sklearn_has_them() -> None:
    gold, said = RNG.integers(0, 4, 90), RNG.integers(0, 4, 90)
    wanted = classification_report(gold, said, output_dict=True, zero_division=0)
    for row in class_rows(gold, said, ["0", "1", "2", "3"]):
        its = wanted[row.name]
        assert (row.precision, row.recall, row.f1) == pytest.approx((its["precision"], its["recall"], its["f1-score"]))
        assert row.support == its["support"]


def test_many_labels_as_sklearn_has_them() -> None:
    labels = ("a", "b", "c")
    true, said = RNG.random((40, 3)) > 0.6, RNG.random((40, 3)) > 0.5
    examples = ManyLabelled([""] * 40, [tuple(np.array(labels)[row].tolist()) for row in true])
    answers = [{"labels": np.array(labels)[row].tolist()} for row in said]
    found = Classify().findings(examples, answers, HeadConfig(labels=labels, many=True))
    micro, macro, exact = (outcome.value for outcome in found.outcomes)
    assert micro == pytest.approx(f1_score(true, said, average="micro"))
    assert macro == pytest.approx(f1_score(true, said, average="macro"))
    assert exact == pytest.approx((true == said).all(1).mean())


def test_spans_as_seqeval_has_them() -> None:
    tags = ["O", "B-A", "I-A", "B-B", "I-B"]
    gold = [[tags[at] for at in RNG.integers(0, 5, 9)] for _ in range(40)]
    said = [[tags[at] for at in RNG.integers(0, 5, 9)] for _ in range(40)]
    wanted = by_seqeval(gold, said, output_dict=True, zero_division=0)
    for row in span_rows(gold, said):
        its = wanted[row.name]
        assert (row.precision, row.recall, row.f1) == pytest.approx((its["precision"], its["recall"], its["f1-score"]))
        assert row.support == its["support"]


def test_a_tagger_that_says_nothing_is_worth_nothing() -> None:
    examples = TaggedSentences([["a", "b", "c", "d"]], [["O", "O", "B-A", "O"]])
    found = Tag().findings(examples, [{"tags": ["O"] * 4}], HeadConfig(labels=("B-A", "I-A", "O")))
    assert [outcome.value for outcome in found.outcomes] == [0.0, 0.75]
    assert "0.750 token accuracy" in found.notes[0]


def test_relations_as_the_official_scorer_has_them() -> None:
    gold = np.array(["C(e1,e2)", "C(e2,e1)", "C(e1,e2)", "P(e1,e2)", "Other", "Other"])
    said = np.array(["C(e1,e2)", "C(e1,e2)", "Other", "P(e1,e2)", "P(e2,e1)", "Other"])
    # C: 1 right of 2 said and 3 there, one the wrong way round; P: 1 right of 2 said and 1 there; Other does not count
    assert directed_macro_f1(gold, said) == pytest.approx((2 * 1 / (2 + 3) + 2 * 1 / (2 + 1)) / 2)


def test_pieces_are_marked() -> None:
    text = "The author uses a disassembler."
    marked, places = mark(text, (18, 30), (4, 10), ("$", "#"))
    assert marked == "The  # author #  uses a  $ disassembler $ ."
    assert [marked[a:b] for a, b in places] == ["disassembler", "author"]
    plain, places = mark(text, (4, 10), (18, 30), ("", ""))
    assert plain == text
    assert places == [(4, 10), (18, 30)]


@pytest.mark.parametrize(
    ("gold", "said", "wanted"),
    [
        ("the BSkyB", "BSkyB!", 1.0),
        ("Saint Bernadette Soubirous", "Bernadette", 0.5),
        ("one", "two", 0.0),
        ("", "", 1.0),
        ("x", "", 0.0),
    ],
)
def test_answers_are_compared_word_by_word(gold: str, said: str, wanted: float) -> None:
    assert token_f1(gold, said) == pytest.approx(wanted)


def test_answers_are_normalised() -> None:
    assert normalised("The  Quick, a Fox.") == "quick fox"


def test_the_best_spans_are_found() -> None:
    logits = RNG.standard_normal((13, 2)).astype(np.float32)  # the first is no answer
    tokens = logits[1:]
    every = {(i, j): tokens[i, 0] + tokens[j, 1] for i in range(12) for j in range(i, 12)}
    wanted = sorted(every, key=every.__getitem__, reverse=True)[:4]
    window = Window(0, {"ids": np.arange(15)}, {"begin": 3, "start": np.arange(12) * 2, "end": np.arange(12) * 2 + 1})
    rows = np.insert(logits, [1, 1], 9.0, axis=0)  # the question, which is no answer
    found = best_spans(window, rows, 4)
    assert [(its.start, its.end) for its in found] == [(2 * i, 2 * j + 1) for i, j in wanted]
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    for its, (i, j) in zip(found, wanted, strict=True):
        assert its.score == pytest.approx(every[i, j])
        assert its.sure == pytest.approx(shares[i + 1, 0] * shares[j + 1, 1], rel=1e-5)


def test_questions_with_several_right_answers() -> None:
    examples = Questions(["1", "2"], ["q", "q"], ["c", "c"], [[(0, "two words"), (0, "three good words")], []], ["", ""])
    answers = [{"answer": "good words"}, {"answer": ""}]
    f1, exact = QuestionAnswering().findings(examples, answers, HeadConfig(many=True)).outcomes
    assert f1.value == pytest.approx((0.8 + 1.0) / 2)
    assert exact.value == 0.5


def test_splits_keep_labels_even_and_articles_whole() -> None:
    examples = LabelledTexts([str(at) for at in range(100)], ["a"] * 80 + ["b"] * 18 + ["c"] + ["d"])
    train, held = split_off(Classify(), examples, 0.1, 0)
    assert len(held) == 10
    assert sorted(held.labels).count("a") in (7, 8, 9)
    assert {"c", "d"} <= set(train.labels)
    assert sorted(train.texts + held.texts) == sorted(examples.texts)
    again = split_off(Classify(), examples, 0.1, 0)[1]
    assert again == held
    n = 40
    questions = Questions([str(at) for at in range(n)], ["q"] * n, ["c"] * n, [[(0, "c")]] * n, [f"t{at % 8}" for at in range(n)])
    train_q, held_q = split_off(QuestionAnswering(), questions, 0.2, 1)
    assert not set(train_q.titles) & set(held_q.titles)
    assert len(train_q) + len(held_q) == n
