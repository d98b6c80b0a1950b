"""The README and the docs do what they say."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import numpy as np
import pytest
from click.testing import CliRunner

from semvec_cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "count"), [("README.md", 23), ("docs/index.md", 13)])
def test_the_first_pages_run_with_the_real_model(page: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    done = 0
    for language, block in re.findall(
        r"^```(sh|python)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S
    ):
        if language == "python":
            exec(compile(block, page, "exec"), {})
            done += 1
        for line in block.splitlines() if language == "sh" else ():
            if line.startswith("semvec "):
                its = CliRunner().invoke(main, shlex.split(line)[1:])
                assert its.exit_code == 0, f"{line}: {its.output}"
                done += 1
    assert done == count


def test_the_program_runs_as_a_shell_runs_it(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a text\nanother\n")
    program = str(Path(sys.executable).parent / "semvec")
    done = subprocess.run([program, "encode", "t.txt", "-o", "t.npy"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "t.npy").shape == (2, 384)


def test_the_site_has_every_page_and_builds(tmp_path: Path) -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages == set(re.findall(r"[\w.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    if importlib.util.find_spec("mkdocstrings") is None:
        return
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ContinualLearner" in (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def every_command(command: click.Command) -> list[click.Command]:
    """``command`` and all below it."""
    if not isinstance(command, click.Group):
        return [command]
    below = [command.get_command(click.Context(command), name) for name in command.list_commands(click.Context(command))]
    return [command, *(one for its in below if its for one in every_command(its))]


def test_every_flag_in_the_docs_exists() -> None:
    from semvec_cli.main import main

    options = [option for command in every_command(main) for option in command.params]
    known = {flag for option in options for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")):
            assert flag in known | {
                "--data",
                "--path",
                "--host",
                "--port",
                "--logdir",
                "--standalone",
                "--nproc-per-node",
                "--no-python",
            }, f"{page.name}: {flag}"


WORDS = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")


def agree(theirs: Any, mine: Any) -> None:
    """Words must be equal, and scores and vectors close."""
    if isinstance(mine, str) or (isinstance(mine, list) and isinstance(mine[0], str)):
        assert theirs == mine
    elif isinstance(mine, list):
        assert [word for word, _ in theirs] == [one.word for one in mine]
        np.testing.assert_allclose([score for _, score in theirs], [one.score for one in mine], atol=1e-5)
    else:
        np.testing.assert_allclose(theirs, mine, atol=1e-5)


def test_what_the_docs_say_to_those_who_come_from_gensim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ot")  # gensim's wmdistance wants it
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath

    import semvec
    import semvec.evaluate.words
    from semvec.encoders.word import WordEncoder
    from semvec.encoders.word_table import WordTable
    from semvec.encoders.word_text import Flaws, WordBatch

    table = semvec.load_encoder("glove-50d").table  # type: ignore[attr-defined]
    names, vectors = [table.words[row] for row in range(5000)], np.asarray(table.vectors[:5000])
    kv = KeyedVectors(50)
    kv.add_vectors(names, vectors)
    glove = WordEncoder(WordTable.of([WordBatch(names, vectors)], Flaws()), model="glove")
    monkeypatch.chdir(tmp_path)
    for name in ("wordsim353.tsv", "questions-words.txt"):
        shutil.copy(datapath(name), name)
    kv.save_word2vec_format("x.vec")
    known = {"kv": kv, "glove": glove, "semvec": semvec, "words": semvec.evaluate.words, "KeyedVectors": KeyedVectors}
    section = WORDS.split("## Coming from gensim")[1]
    rows = re.findall(r"^\| `([^`]+)`[^|]* \| `([^`]+)`[^|]* \|$", section, flags=re.MULTILINE)
    assert len(rows) == 19
    for theirs, mine in rows:
        one, other = eval(theirs, known), eval(mine, known)
        if isinstance(other, WordEncoder):
            one, other = one.vectors, other.table.vectors
        agree(one, other)


@pytest.mark.slow
def test_the_python_of_the_page_on_words_runs(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    import semvec

    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = "\n".join(blocks("python", WORDS))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Warning" not in done.stderr
    table = semvec.load_encoder("glove-50d").table  # type: ignore[attr-defined]
    kept = KeyedVectors.load_word2vec_format(str(tmp_path / "some.vec"))
    assert [unquote(key) for key in kept.index_to_key] == [table.words[row] for row in range(1000)]
    np.testing.assert_allclose(kept.vectors, table.vectors[:1000], atol=1e-6)


def test_the_words_named_for_the_ladder_stand_where_the_page_says() -> None:
    import semvec

    glove = semvec.load_encoder("glove-50d")
    row = next(line for line in WORDS.splitlines() if line.startswith("| 3 subword |"))
    compounds = re.findall("`([^`]+)`", row)
    assert len(compounds) == 3
    for word in [*compounds, "thundercandle"]:
        assert f"`{word}`" in WORDS
        assert glove.standing(word).rung == semvec.Oov.SUBWORD  # type: ignore[attr-defined]
    assert glove.standing("Thorouhgly") == (("thoroughly",), semvec.Oov.SPELLING)  # type: ignore[attr-defined]
    assert glove.standing("recieve").rung == semvec.Oov.EXACT  # type: ignore[attr-defined]


def test_the_shell_completes_commands_and_options() -> None:
    program = str(Path(sys.executable).parent / "semvec")
    for words, wanted in (
        ("semvec contin", "continual"),
        ("semvec encode --resu", "--resume"),
        ("semvec finetune clas", "classify"),
    ):
        environment = {
            **os.environ,
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "_SEMVEC_COMPLETE": "bash_complete",
        }
        done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [f"plain,{wanted}"]
