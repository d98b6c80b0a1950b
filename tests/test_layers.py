"""The layers of the design held against the imports of the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {
    "semvec.errors": 0, "semvec.types": 0, "semvec.results": 0,
    "semvec.text": 1, "semvec.embeddings": 1,
    "semvec.encoders": 2, "semvec.selection": 2, "semvec.index": 2, "semvec.visualise": 2, "semvec.measures": 2,
    "semvec.store": 3, "semvec.finetune": 3,
    "semvec.search": 4, "semvec.continual": 4,
    "semvec.evaluate": 5, "semvec.explore": 5, "semvec.augment": 5, "semvec.serve": 5, "semvec.adapters": 5,
    "semvec_cli": 6,
}  # fmt: skip
HOMES = {
    "gensim": "semvec/encoders/word", "faiss": "semvec/index/faiss", "model2vec": "semvec/encoders/distill", "skeletoken": "semvec/encoders/pieces.py", "umap": "semvec/visualise/umap.py", "matplotlib": ("semvec/visualise/draw.py", "semvec/visualise/curves.py", "semvec/visualise/fonts.py"), "adjustText": "semvec/visualise/draw.py", "openTSNE": "semvec/visualise/tsne.py", "pacmap": "semvec/visualise/pacmap.py", "click": "cli/", "tqdm": "cli/",
    "sentence_transformers": ("semvec/encoders/", "semvec/finetune/"), "transformers": ("semvec/encoders/", "semvec/finetune/"), "torch": ("semvec/encoders/", "semvec/finetune/", "semvec/selection/", "semvec/augment/crossed.py", "semvec/augment/joint.py", "semvec/continual/"),
    "peft": ("semvec/encoders/tuned.py", "semvec/finetune/strategies.py"), "optuna": "semvec/finetune/search.py", "sacrebleu": "semvec/measures/translation.py",
    "chromadb": "semvec/store/chroma", "lancedb": "semvec/store/lance", "qdrant_client": "semvec/store/qdrant.py", "qdrant_edge": "semvec/store/qdrant_edge",
    "psycopg": "semvec/store/postgres", "pymilvus": "semvec/store/milvus", "mteb": "semvec/evaluate/mteb", "datasets": ("semvec/evaluate/mteb", "semvec/finetune/similarity.py"),
    "numba": ("semvec/embeddings/compiled.py", "semvec/encoders/backends/kernels.py", "semvec/index/intrinsics.py", "semvec/index/multi_vector_kernels.py"),
    "llvmlite": ("semvec/embeddings/compiled.py", "semvec/index/intrinsics.py"),
    "langchain_core": "semvec/adapters/langchain.py", "fastapi": "semvec/serve/", "starlette": "semvec/serve/", "uvicorn": "semvec/serve/run.py", "prometheus_client": "semvec/serve/metrics.py", "pydantic": "semvec/serve/asked.py", "orjson": "semvec/serve/",
    "ray": "semvec/encoders/ray_engine.py", "fsspec": "semvec/text/remote.py", "accelerate": "semvec/finetune/processes.py", "openvino": "semvec/encoders/backends/engines.py", "onnxruntime": "semvec/encoders/backends/engines.py",
}  # fmt: skip


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in (("semvec", ROOT / "semvec"), ("semvec_cli", ROOT / "cli")):
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """Every module that the file imports, anywhere in it, lazily or for types alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(module: str) -> str:
    return ".".join(module.split(".")[:2]) if module.startswith("semvec.") else module.split(".")[0]


def test_imports_go_down_only() -> None:
    wrong = []
    for module, path in modules().items():
        if module == "semvec":
            continue
        mine = room(module)
        for other in imports(path):
            if not other.startswith(("semvec.", "semvec_cli.")):
                continue
            theirs = room(other)
            if theirs != mine and LAYERS[theirs] >= LAYERS[mine] and LAYERS[mine] > 0:
                wrong.append(f"{module} imports {other}")
            if LAYERS[mine] == 0 and LAYERS[theirs] > 0:
                wrong.append(f"{module} imports {other}")
    assert not wrong


def test_there_are_no_cycles() -> None:
    every = modules()
    graph = {name: (imports(path) & every.keys()) - {name} for name, path in every.items() if name != "semvec"}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_each_library_has_one_home() -> None:
    wrong = []
    for path in modules().values():
        place = path.relative_to(ROOT).as_posix()
        wrong += [
            f"{place} imports {name}"
            for name in imports(path)
            for library, home in HOMES.items()
            if name.split(".")[0] == library and not place.startswith(home)
        ]
    assert not wrong


def test_every_room_is_packaged() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11

    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {name if path.name == "__init__.py" else name.rpartition(".")[0] for name, path in modules().items()}
    assert set(packaged) == there
