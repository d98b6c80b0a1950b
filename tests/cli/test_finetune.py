"""``semvec finetune``, ``predict`` and ``report``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from semvec_cli.main import main
from tests import tiny
from tests.finetune import small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    tiny.make_model("bert", folder / "base")
    small.write("classify", folder)
    arguments = [
        "finetune",
        "classify",
        "-m",
        str(folder / "base"),
        "--data",
        str(folder / "classify.tsv"),
        "-o",
        str(folder / "m"),
    ]
    result = CliRunner().invoke(main, [*arguments, "--epochs", "1", "--strategy", "bitfit"])
    assert result.exit_code == 0, result.output
    assert "43 examples to learn from, 5 to validate on (split off)" in result.output
    return folder


def test_it_predicts_and_reports(made: Path) -> None:
    (made / "t.txt").write_text("the right of freedom\nno law\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["predict", str(made / "m"), str(made / "t.txt")])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["the right of freedom", "no law"]
    assert all(row["label"] in ("pos", "neg") and 0.5 <= row["score"] <= 1 for row in rows)
    out = made / "said.tsv"
    assert CliRunner().invoke(main, ["predict", str(made / "m"), str(made / "t.txt"), "-o", str(out)]).exit_code == 0
    assert [line.split("\t")[0] for line in out.read_text().splitlines()] == ["label", *(row["label"] for row in rows)]
    result = CliRunner().invoke(main, ["report", str(made / "m"), "--data", str(made / "classify.tsv"), "--format", "json"])
    its = json.loads(result.stdout)
    assert its["examples"] == 48
    assert set(its["measures"]) == {"fine-tuned", "frozen encoder, linear head", "always the commonest"}
    assert sum(map(sum, its["confusion"]["counts"])) == 48


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "clasify", "--data", "x", "-o", "y"], "did you mean 'classify'"),
        (["finetune", "classify", "--data", "nowhere.tsv", "-o", "y"], "nowhere.tsv: no such file"),
        (["finetune", "tag", "--data", "nowhere", "-o", "y", "--layers", "x"], "--layers 'x'"),
        (["finetune", "classify", "--data", "x", "-o", "y", "--prune", "1:half"], "--prune '1:half': name layers and the share"),
        (["finetune", "pairs", "--data", "x", "-o", "y", "--prune", "1:0"], "the share kept is more than 0"),
        (["predict", "nowhere", "x.txt"], "nowhere: no such folder"),
        (["report", "nowhere", "--data", "x.tsv"], "nowhere: no such folder"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output + str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_model_is_inspected_and_asked_for_columns_of_other_names(made: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(made / "m")])
    assert result.exit_code == 0, result.output
    assert f"fine-tuned for classify, from {made / 'base'}, strategy bitfit" in result.stdout
    assert "2 labels: neg, pos" in result.stdout
    (made / "own.csv").write_text('review,stars\n"no law",1\n"all freedom",5\n', encoding="utf-8")
    arguments = ["predict", str(made / "m"), str(made / "own.csv")]
    refused = CliRunner().invoke(main, arguments)
    assert "no column 'text'; there are 'review', 'stars'; --column text=… says which it is" in refused.output
    result = CliRunner().invoke(main, [*arguments, "--column", "text=review"])
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["no law", "all freedom"]
    result = CliRunner().invoke(main, [*arguments, "--column", "review"])
    assert result.exit_code == 2
    assert "say which column is which, as text=review" in result.output


def test_a_blank_line_has_an_answer_too(made: Path) -> None:
    (made / "b.txt").write_text("no law\n\nall freedom\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["predict", str(made / "m"), str(made / "b.txt")])
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["no law", "", "all freedom"]


def test_it_prunes(made: Path) -> None:
    whole = ["finetune", "classify", "-m", str(made / "base"), "--data", str(made / "classify.tsv"), "-o", str(made / "whole")]
    assert CliRunner().invoke(main, [*whole, "--epochs", "1", "--no-before"]).exit_code == 0
    pruned = [
        *whole[:2],
        "-m",
        str(made / "whole"),
        *whole[4:6],
        "-o",
        str(made / "quick"),
        "--prune",
        "1:0.5,2:.25",
        "--epochs",
        "1",
    ]
    result = CliRunner().invoke(main, pruned)
    assert result.exit_code == 0, result.output
    assert "times as fast as the whole model" in result.output
    result = CliRunner().invoke(main, ["report", str(made / "quick"), "--data", str(made / "classify.tsv"), "--format", "json"])
    assert {"fine-tuned", "whole model"} < set(json.loads(result.stdout)["measures"])
