"""``semvec trim``, as a shell runs it."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner, Result

from semvec_cli.main import main
from tests import tiny
from tests.cli.test_encode import refused


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["trim", *map(str, args)])


def test_it_trims_and_checks(tmp_path: Path) -> None:
    model = tiny.make_model("bert", tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (tmp_path / "a.txt").write_text("the right of all\nno one shall be held\n")
    (tmp_path / "b.csv").write_text("id,note\n1,the right to freedom\n2,\n")
    (tmp_path / "other.txt").write_text("the right of all\nhuman dignity\n")
    flags = ["--corpus", tmp_path / "a.txt", "-o", tmp_path / "t", "--device", "cpu"]
    done = run(model, *flags, "--check", tmp_path / "other.txt")
    assert done.exit_code == 0, done.output
    assert re.search(r"[\d,]+ → [\d,]+ pieces of words, [\d.]+ → [\d.]+ MB in ", done.stdout)
    assert "all of 2 texts come in the same tokens as before\n" in done.stdout
    assert re.search(r"1 of 2 other texts come in the same tokens \(50%\); cosine .* mean 0\.\d+, lowest", done.stdout)
    card = (tmp_path / "t" / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n> Trimmed from model by semvec: ")
    assert card.endswith("\n\n# A model\n")
    shown = CliRunner().invoke(main, ["inspect", str(tmp_path / "t")]).stdout
    assert "pieces of words, those of 2 texts" in shown
    more = ["--corpus", tmp_path / "b.csv", "--text-field", "note", "-o", tmp_path / "u", "--min-count", 1, "--device", "cpu"]
    assert "of 1 texts come in the same tokens as before; 1 rows were no texts" in run(model, *more).stdout
    assert not run(model, *flags, "--overwrite", "-q").output


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    model = tiny.make_model("bert", tmp_path / "model")
    (tmp_path / "a.txt").write_text("the right of all\n")
    assert "Missing option '--corpus'" in run(model, "-o", tmp_path / "t").output
    refused(run(model, "--corpus", tmp_path / "nowhere.txt", "-o", tmp_path / "t"), "nowhere.txt")
    done = run(model, "--corpus", tmp_path / "a.txt", "-o", tmp_path / "t", "-q", "--check", tmp_path / "a.txt")
    assert "--check does nothing with --quiet" in done.output
    assert done.exit_code == 2
