"""``semvec ask``, as a shell runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semvec.finetune.train import finetune
from semvec_cli.main import main
from tests import tiny
from tests.augment.conftest import PASSAGES
from tests.cli.test_encode import refused
from tests.finetune import small


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ask")
    base = tiny.make_sentence_model(folder / "base")
    finetune("qa", base, small.write("qa", folder), folder / "reader", options=small.quick(max_tokens=32), before=False)
    (folder / "texts.txt").write_text("\n".join(PASSAGES) + "\n")
    built = CliRunner().invoke(
        main, ["index", "build", str(folder / "texts.txt"), "-o", str(folder / "i"), "-m", str(base), "-q"]
    )
    assert built.exit_code == 0, built.output
    return folder


def run(place: Path, *args: object, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["ask", str(place / "i"), *map(str, args), "--reader", str(place / "reader")], input=text)


def test_it_answers_with_its_passages(place: Path) -> None:
    done = run(place, "what is the right?", "-k", 3, "--answers", 2, "--format", "json")
    assert done.exit_code == 0, done.output
    [its] = json.loads(done.stdout)
    assert its["read"] == 3
    assert len(its["answers"]) == 2
    for answer in its["answers"]:
        support = answer["support"][0]
        assert support["text"][support["start"] : support["end"]] == answer["answer"]
        assert support["text"] in PASSAGES
    best, shown = its["answers"][0], run(place, "what is the right?", "-k", 3).stdout
    assert shown.startswith(f"{best['score']:7.4f}  {best['answer']}\n         {best['support'][0]['share']:4.0%}  ")
    assert run(place, "what is the right?", "-k", 3, "--hybrid").exit_code == 0


def test_questions_come_from_anywhere(place: Path) -> None:
    lines = run(place, "-", "--format", "jsonl", text="what is the right?\n\nwhat is the law?\n").stdout.splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["what is the right?", "what is the law?"]


def test_what_is_wrong_is_said_in_a_line(place: Path, tmp_path: Path) -> None:
    assert "what for? Give a QUESTION" in run(place).output
    refused(run(place, "why?", "--where", "lang ="), "lang =")
    missing = CliRunner().invoke(main, ["ask", str(place / "i"), "why?", "--reader", str(tmp_path / "none")])
    refused(missing, "no such folder, where a fine-tuned model should be")
    refused(CliRunner().invoke(main, ["ask", str(tmp_path / "none"), "why?", "--reader", str(place / "reader")]), "none")
