"""``semvec augment``, as a shell runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semvec_cli.main import main
from tests import tiny
from tests.cli.test_encode import refused
from tests.finetune import small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("augment")
    base = tiny.make_sentence_model(folder / "base")
    data = small.write("classify", folder)
    how = ["--way", "knn", "--epochs", "1", "--device", "cpu"]
    done = run("train", "-m", base, "--data", data, "-o", folder / "m", *how)
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.stdout
    assert "where nothing is found" in done.stdout
    assert "looks nothing up (way knn)" in done.stdout
    assert "memory: in its folder, 43 items of float32, " in done.stdout
    assert "upon model, strategy full, seed 0, on cpu" in done.stdout
    its = json.loads((folder / "m" / "augment.json").read_text())
    its["weighing"] |= {"k": 8, "temperature": 0.1, "weight": 0.5, "gate": []}  # so that it can be taught
    (folder / "m" / "augment.json").write_text(json.dumps(its))
    return folder


def run(*args: object, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["augment", *map(str, args)], input=text)


def test_it_predicts_explains_and_reports(made: Path) -> None:
    lines = run("predict", made / "m", "-", "--evidence", text="the law is one\nfreedom of all\n").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == ["the law is one", "freedom of all"]
    assert all(row["label"] in ("pos", "neg") and len(row["neighbours"]) == 8 for row in rows)
    shown = run("explain", made / "m", "the law is one").stdout.splitlines()
    assert shown[0].startswith(f"the law is one: {rows[0]['label']} ({rows[0]['score']:.3f}); where nothing is found ")
    assert len(shown) == 10
    examined = run("report", made / "m", "--data", made / "classify.tsv").stdout
    assert "48 examples" in examined
    assert "with what it finds" in examined
    assert "43 of the 48 examples were learnt from" in examined
    assert "ms a text: looking up" in examined
    assert "43 items, " in examined
    whole = CliRunner().invoke(main, ["inspect", str(made / "m")]).stdout
    assert "looks for 8 neighbours by vectors" in whole
    its = json.loads((made / "m" / "augment.json").read_text())
    accuracy = its["record"]["validation"]["accuracy"]["value"]
    assert f"accuracy {accuracy:.3f} on the validation data of {its['record']['data']}" in whole
    assert json.loads(CliRunner().invoke(main, ["inspect", str(made / "m"), "--json"]).stdout)["way"] == "knn"
    card = (made / "m" / "README.md").read_text()
    assert "| accuracy |" in card
    assert "ms a text: looking up" in card


def test_it_is_taught_and_untaught(made: Path) -> None:
    (made / "more.tsv").write_text("label\ttext\nnew\tsomething else\nnew\tsomething else\n")
    done = run("add", made / "m", made / "more.tsv")
    assert done.exit_code == 0, done.output
    names = done.stdout.split()
    assert names[0] == names[1]
    assert f"1 written, 44 in {made}" in done.stderr
    assert "1 removed, 43 left" in run("remove", made / "m", names[0]).stderr
    again = run("remove", made / "m", names[0])
    assert again.exit_code == 2
    assert f"nothing is remembered under '{names[0]}'" in again.stderr


def test_what_is_wrong_is_said_in_a_line(made: Path, tmp_path: Path) -> None:
    refused(run("predict", tmp_path / "nowhere", made / "classify.tsv"), "no such folder")
    refused(run("predict", made / "base", made / "classify.tsv"), "no augment.json")
    refused(run("train", "-m", made / "base", "--data", made / "classify.tsv", "-o", made / "m"), "exists")
    refused(
        run("train", "-m", made / "base", "--data", made / "classify.tsv", "-o", tmp_path / "x", "--collection", tmp_path),
        str(tmp_path),
    )
    assert "Invalid value for '--way'" in run("train", "--data", "x", "-o", "y", "--way", "z").output


def test_a_tagger_as_well(made: Path, tmp_path: Path) -> None:
    data = small.write("tag", tmp_path)
    how = ["--task", "tag", "-k", "2", "--epochs", "1", "--device", "cpu"]
    done = run("train", "-m", made / "base" / "model", "--data", data, "-o", tmp_path / "m", *how)
    assert done.exit_code == 0, done.output
    assert "span F1" in done.stdout
    [row] = [
        json.loads(line)
        for line in run("predict", tmp_path / "m", "-", "--evidence", text="the law is one\n").stdout.splitlines()
    ]
    assert row["words"] == ["the", "law", "is", "one"]
    assert len(row["neighbours"]) == 2
    assert len(run("explain", tmp_path / "m", "the law is one").stdout.splitlines()) == 4
    assert "span F1" in run("report", tmp_path / "m", "--data", data).stdout
    assert "48 written" in run("add", tmp_path / "m", data).stderr
    refused(
        run("train", "-m", made / "base" / "model", "--data", data, "-o", tmp_path / "n", *how, "--way", "knn"),
        "by the way concat",
    )
