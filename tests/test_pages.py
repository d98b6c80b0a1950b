"""Every command and every piece of Python that stands on a page is run, with small files of the names that it uses."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from semvec_cli.main import main
from tests import pages

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.zh-CN.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "index.md")]
ELSEWHERE = {
    r"^(pip|make|docker) ": "not semvec's",
    r"--prune 1:0.5,3": "tests/finetune/test_prune.py: the small model has no third layer",
    r"torchrun": "tests/finetune/test_processes.py",
    r"--engine ray": "tests/encoders/test_ray.py",
    r"^semvec serve": "tests/serve: it serves until it is stopped",
    r"(qdrant|milvus)://": "tests/store, where these servers are",
    r"^semvec search reviews.index +#": "it asks at a terminal",
}
"""Lines that are not run here, and why."""

PYTHON_ELSEWHERE = {
    "import openai": "tests/serve/test_clients.py",
    "postgresql://": "tests/store/test_postgres.py",
    "chroma:": "tests/store, where its library is",
    "qdrant:": "tests/store, where its library is",
    "lancedb:": "tests/store, where its library is",
}
NEEDS = {"mteb": "mteb", "trim": "skeletoken", "distill": "model2vec", "jieba": "jieba"}
"""Libraries without which a line is left out."""

BEFORE = {
    "finetune.md": ["finetune classify --data reviews --head router -o routed"],
    "kwic.md": ["index build notes.txt -o notes.index --level token"],
    "visualise.md": ["index build notes.txt -o notes.index", "encode notes.txt -o vectors.parquet"],
}
"""What a page takes to be there."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pages.make(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "world", symlinks=True)
    monkeypatch.chdir(tmp_path / "world")
    return tmp_path / "world"


def lines_of(block: str) -> list[str]:
    """The commands of a block; where some of its lines begin with $, these alone."""
    lines = [line for line in block.splitlines() if line.strip()]
    shown = [line[2:] for line in lines if line.startswith("$ ")]
    return shown or [
        line for line in lines if line.startswith(("semvec ", "torchrun ", "RAY_ADDRESS", "pip ", "docker ", "make "))
    ]


def away(names: list[str]) -> None:
    """Take away what another line of the page wrote: a page shows several ways to make the same thing."""
    for name in names:
        for place in [Path(name), *Path().glob(f"{name}.*")]:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)


def run(line: str) -> None:
    words = shlex.split(line, comments=True)
    if "--resume" not in words:
        away([word for flag, word in zip(words, words[1:], strict=False) if flag == "-o"])
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, f"{line}\n{done.output[-1500:]}\n{done.exception!r}"


def missing(text: str) -> bool:
    from importlib.util import find_spec

    return any(word in text and find_spec(library) is None for word, library in NEEDS.items())


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_what_stands_on_a_page_runs(page: Path, world: Path) -> None:
    names: dict[str, object] = {"texts": pages.RIGHTS[:8], "more": pages.RIGHTS[8:]}
    exec("import semvec", names)
    for line in BEFORE.get(page.name, ()):
        run(line)
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "toml":
            (world / "RUN.toml").write_text(block, encoding="utf-8")
        elif language == "python" or (language == "text" and block.startswith("encoder")):
            if not any(sign in block for sign in PYTHON_ELSEWHERE) and not missing(block):
                exec(compile(block, page.name, "exec"), names)
        else:
            for line in lines_of(block):
                if any(re.search(pattern, line) for pattern in ELSEWHERE) or missing(line):
                    continue
                run(line.removeprefix("semvec "))


def test_every_line_that_is_not_run_is_one_of_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for pattern in ELSEWHERE:
        assert re.search(pattern, text, flags=re.MULTILINE), pattern
    for sign in PYTHON_ELSEWHERE:
        assert sign in text, sign
    for reason in (*ELSEWHERE.values(), *PYTHON_ELSEWHERE.values()):
        if reason.startswith("tests/"):
            assert (ROOT / re.split("[:,]", reason)[0]).exists(), reason
