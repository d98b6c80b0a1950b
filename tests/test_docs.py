"""The README and the docs do what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/collections.md"])
def test_the_python_of_a_page_runs(tmp_path: Path, page: str) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for block in blocks("python", (ROOT / page).read_text(encoding="utf-8")):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("semvec ")]
    assert len(commands) == 10
    program = str(Path(sys.executable).parent / "semvec")
    for command in commands:
        done = subprocess.run([program, *shlex.split(command)[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"


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
            assert flag in known | {"--data"}, f"{page.name}: {flag}"
