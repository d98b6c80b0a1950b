"""Ray's actors: the output of this process, byte for byte, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from semvec.embeddings.shards import unfinished
from semvec.encoders import blocks as blocks_module
from semvec.encoders.catalog import load_encoder
from semvec.encoders.files import encode_files
from semvec.encoders.ray_engine import RETRIES, RayActors, room
from semvec.errors import EngineError, InputError, MissingExtra, OptionError, OverflowRefused
from semvec_cli.main import main
from tests import tiny
from tests.sample import TEXTS

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.make_sentence_model(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def actors(cluster: None, base: str) -> Iterator[RayActors]:
    with RayActors(partial(load_encoder, base, device="cpu"), actors=2) as its:
        yield its


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_TEXTS", 4)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"{text.strip()} {i}" for i, text in enumerate(TEXTS * 8)) + "\n", encoding="utf-8")
    return path


def processes(actors: RayActors) -> list[int]:
    return [ray.get(actor.pid.remote()) for actor in actors._actors]


class Stop(BaseException):
    """Ends a run as a signal would."""


def stopping_at(texts: int) -> Any:
    def progress(done: int, total: int | None) -> None:
        if done >= texts:
            raise Stop

    return progress


@pytest.mark.parametrize("changes", [{}, {"dtype": "int8"}, {"level": "token", "overflow": "windows"}])
def test_the_same_bytes_as_this_process(changes: Any, tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    encoder = load_encoder(base, device="cpu", **changes)
    report = encode_files([source], here, encoder)
    other = encode_files([source], there, encoder, engine=actors)
    assert here.read_bytes() == there.read_bytes()
    assert (report.texts, report.rows, report.tokens) == (other.texts, other.rows, other.tokens)


def test_an_actor_killed_twice_loses_nothing(tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    encoder = load_encoder(base, device="cpu")
    encode_files([source], here, encoder)
    killed: list[int] = []

    def kill(done: int, total: int | None) -> None:
        if done in (8, 64):
            killed.append(processes(actors)[0])
            os.kill(killed[-1], signal.SIGKILL)

    encode_files([source], there, encoder, engine=actors, progress=kill)
    assert len(set(killed)) == 2  # another process each time
    assert here.read_bytes() == there.read_bytes()


def test_a_run_begun_here_goes_on_there_and_back(tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    encoder = load_encoder(base, device="cpu")
    encode_files([source], whole, encoder)
    for engine, until in ((None, 12), (actors, 40), (None, 60)):
        with pytest.raises(Stop):
            encode_files([source], parts, encoder, resume=True, engine=engine, progress=stopping_at(until))
    report = encode_files([source], parts, encoder, resume=True, engine=actors)
    assert report.resumed >= 56
    assert whole.read_bytes() == parts.read_bytes()


def test_a_bad_row_keeps_all_before_it(tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    source.write_text("\n".join([*lines[:50], "", *lines[50:]]) + "\n", encoding="utf-8")
    encoder = load_encoder(base, device="cpu")
    with pytest.raises(InputError, match="48 texts are done and kept"):
        encode_files([source], tmp_path / "out.npz", encoder, engine=actors)
    report = encode_files([source], tmp_path / "out.npz", encoder, engine=actors, resume=True, on_error="skip")
    assert (report.resumed, report.texts, report.skipped) == (48, 128, 1)


def test_a_text_too_long_is_refused_with_its_line(tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    source.write_text("short\n" * 9 + "a long text " * 300 + "\n", encoding="utf-8")
    with pytest.raises(OverflowRefused, match=r"texts\.txt, line 10: .* 8 texts are done"):
        encode_files([source], tmp_path / "out.npz", load_encoder(base, device="cpu", overflow="error"), engine=actors)


def test_what_an_actor_raises_comes_as_it_is(tmp_path: Path, source: Path, base: str, cluster: None) -> None:
    def load() -> Any:
        raise OptionError("no such model here")

    with pytest.raises(OptionError, match="no such model here"), RayActors(load):
        pass


def test_a_text_that_kills_its_actor_ends_the_run(tmp_path: Path, source: Path, base: str, cluster: None) -> None:
    class Deadly:
        """Dies of the text with the number 21."""

        def __init__(self, encoder: Any) -> None:
            self.its = encoder

        def __getattr__(self, name: str) -> Any:
            return getattr(self.its, name)

        def encode(self, texts: list[str], **changes: Any) -> Any:
            if any(text.endswith(" 21") for text in texts):
                os._exit(1)
            return self.its.encode(texts, **changes)

    with RayActors(lambda: Deadly(load_encoder(base, device="cpu")), actors=1) as engine:
        wanted = rf"texts\.txt, line 21, and the 3 texts after it: given up, the actor died and so did {RETRIES} after it"
        with pytest.raises(EngineError, match=wanted):
            encode_files([source], tmp_path / "out.npz", load_encoder(base, device="cpu"), engine=engine)
    assert len(list(unfinished(tmp_path / "out.npz").glob("0*.safetensors"))) == 5


def test_actors_of_another_model_are_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, source: Path, actors: RayActors
) -> None:
    other = str(tiny.make_sentence_model(tmp_path_factory.mktemp("other"), pooling="max"))
    with pytest.raises(OptionError, match="the model of an actor is"):
        encode_files([source], tmp_path / "out.npz", load_encoder(other, device="cpu"), engine=actors)


def test_where_actors_fit() -> None:
    assert room([(2, 0)], None) == (2, 1, 0)
    assert room([(8, 0)] * 4, 3) == (3, 8, 0)
    assert room([(1, 0)] * 2, 1) == (1, 1, 0)
    assert room([(8, 0)] * 4, 5) == (5, 4, 0)
    assert room([(32, 8), (64, 0)], None) == (8, 4, 1)  # CPUs where there are no GPUs are of no use
    with pytest.raises(OptionError, match="9 actors are more"):
        room([(32, 8)], 9)


def test_a_splitter_goes_along(tmp_path: Path, source: Path, base: str, cluster: None) -> None:
    pytest.importorskip("jieba")
    more = ["--level", "word", "--splitter", "jieba:cut", "-m", base, "--device", "cpu", "-q"]
    for name, engine in (("here", []), ("there", ["--engine", "ray", "--actors", "1"])):
        done = CliRunner().invoke(main, ["encode", str(source), "-o", str(tmp_path / f"{name}.npz"), *more, *engine])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()


def test_what_cannot_be_sent_is_refused(tmp_path: Path, source: Path, base: str, actors: RayActors) -> None:
    lock = threading.RLock()
    encoder = load_encoder(base, device="cpu", level="word", splitter=lambda text: text.split() if lock else [])
    with pytest.raises(OptionError, match="a splitter must be a function of a module"):
        encode_files([source], tmp_path / "out.npz", encoder, engine=actors)


def test_an_address_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(EngineError, match="RAY_ADDRESS=127.0.0.1:1: no Ray can be reached"), RayActors(lambda: None):  # type: ignore[arg-type,return-value]
        pass


def test_other_errors_of_an_actor_say_what_they_are(cluster: None) -> None:
    def load() -> Any:
        raise ZeroDivisionError("no memory left")

    with pytest.raises(EngineError, match="an actor failed: ZeroDivisionError: no memory left"), RayActors(load):
        pass


def test_more_actors_than_there_is_room(base: str, cluster: None) -> None:
    with (
        pytest.raises(OptionError, match="3 actors are more than Ray has room for: 2 CPUs, 0 GPUs"),
        RayActors(lambda: None, actors=3),
    ):  # type: ignore[arg-type,return-value]
        pass
    with pytest.raises(OptionError, match="1 or more"):
        RayActors(lambda: None, actors=0)  # type: ignore[arg-type,return-value]


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'semvec\[ray\]'"), RayActors(lambda: None):  # type: ignore[arg-type,return-value]
        pass


def test_the_command(tmp_path: Path, source: Path, base: str, cluster: None) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    first = CliRunner().invoke(main, ["encode", str(source), "-o", str(here), "-m", base, "--device", "cpu", "-q"])
    more = ["--engine", "ray", "--actors", "2", "--device", "cpu"]
    second = CliRunner().invoke(main, ["encode", str(source), "-o", str(there), "-m", base, *more])
    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    assert "2 Ray actors, on cpu" in second.stderr
    assert here.read_bytes() == there.read_bytes()
    idle = CliRunner().invoke(main, ["encode", str(source), "-o", str(there), "-m", base, "--actors", "2"])
    assert idle.exit_code == 2
    assert "--actors does nothing without --engine ray" in idle.stderr
