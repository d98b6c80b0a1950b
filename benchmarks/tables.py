"""Make docs/benchmarks.md, and the table of the README, from benchmarks/results: python benchmarks/tables.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables_learning import augment, continual, few_labels, finetune, selection
from tables_serving import ray_engine, scale, serve

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKS = ("<!-- quality: made by benchmarks/tables.py -->", "<!-- end -->")
SCALE = ("<!-- scale -->", "<!-- /scale -->")
"""Between these the README shows the first row of every task."""

HEAD = """# Benchmarks

Made by `python benchmarks/tables.py` from `benchmarks/results/*.json`, which hold the full figures, versions and machine.
`make bench DATA=FOLDER` runs them all.
"""


def parity(results: dict[str, Any]) -> list[str]:
    text, words = results["sentence_vectors"], results["word_vectors"]
    rows = [
        f"| text, MiniLM | sentence-transformers' `encode` | {text['texts']:,} texts, up to {text['tokens_most']:,} tokens | least cosine "
        f"{text['cosine_least']:.7f}, max abs difference {text['max_abs_difference']:.1e} |"
    ]
    rows += [
        f"| token, MiniLM, padded {one['padded']} | `AutoModel`, each text alone | {one['tokens']:,} tokens | max abs difference "
        f"{one['max_abs_difference']:.1e} |"
        for one in results["token_vectors"]
    ]
    rows.append(
        f"| word, GloVe 50d | gensim | {words['in_vocabulary']:,} words | max abs difference {words['max_abs_difference']:.1e} |"
    )
    rows += [
        f"| text, MiniLM, {name} | the same text alone | {results['neighbours']['texts']} texts | max abs difference "
        f"{one['max_abs_difference_to_alone']:.1e}{', bits equal in every batch' if one['bits_equal'] else ''} |"
        for name, one in results["neighbours"].items()
        if isinstance(one, dict)
    ]
    return ["| vectors | compared with | on | found |", "|---|---|---|---|", *rows]


def memory(results: dict[str, Any]) -> list[str]:
    rows = []
    for one in results.values():
        lines = "; ".join(f"{int(count):,} lines {found['peak_mb']:,.0f} MB" for count, found in one["lines"].items())
        rows.append(f"| {one['model']} | {lines} | {one['ratio']:.3f} | {one['allowed']} |")
    return ["| model | peak resident memory | ratio | at most |", "|---|---|---|---|", *rows]


def kill(results: dict[str, Any]) -> list[str]:
    rows = [f"| {model} | {one['lines']:,} | {one['kills']} | {one['bytes_equal']} |" for model, one in results.items()]
    return ["| model | lines | `kill -9` at random moments | resumed to equal bytes |", "|---|---|---|---|", *rows]


def words(results: dict[str, Any]) -> list[str]:
    opening, queries, scores = results["opening"], results["queries"], results["scores"]
    rows = [
        f"| {name} | {one['seconds']:.2f} s | {one['resident_mb']:.0f} MB |"
        for name, one in opening.items()
        if isinstance(one, dict)
    ]
    two = results["two processes, 400,000 x 300"]
    found = [
        f"Opening 400,000 × 50 ({results['file_mb']} MB as text), imports not counted; memory of the whole process. The text loader takes "
        f"1/{opening['ratio of text loaders']:.0f} of gensim's time.",
        "",
        "| opened | time | resident |",
        "|---|---|---|",
        *rows,
        "",
        f"Two processes that have read all of a 400,000 × 300 folder (480 MB) hold {two['together_mb']} MB together, "
        f"{two['private_mb_each']} MB of it each for itself.",
        "",
        "| ten nearest of 400,000 × 50 | a query |",
        "|---|---|",
        *(
            f"| {name.split(',')[0]} | {value:.2f} ms |"
            for name, value in queries.items()
            if name.endswith("ms") or "ms a query" in name
        ),
        "",
        f"Against gensim's `most_similar`: {queries['ratio one by one']} times as many queries a second one by one, "
        f"{queries['ratio at once']} times all at once, the same words.",
        "",
        "| test, GloVe 50d | semvec | gensim |",
        "|---|---|---|",
        *(f"| {name} | {one['semvec']:.4f} | {one['gensim']:.4f} |" for name, one in scores.items()),
        "",
        "STS-B dev, Spearman with 95 % interval (GloVe 50d; SIF fitted on the texts of the training part):",
        "",
        "| texts | rungs, pooling | Spearman |",
        "|---|---|---|",
    ]
    found += [f"| as they stand | all, {name} | {_interval(one)} |" for name, one in results["sif, sts-b dev"].items()]
    ladder = results["ladder"]
    for name in ("sts-b dev", "sts-b dev, 30 % of long words mistyped"):
        what = "as they stand" if name == "sts-b dev" else "30 % of long words mistyped"
        found += [f"| {what} | {rungs}, sif | {_interval(one)} |" for rungs, one in ladder[name].items()]
    found += ["", "4,000 words of the ranks 20,000 to 200,000 taken out of the table, and what the ladder made of them:", ""]
    found += ["| rung | share | mean cosine to the true vector |", "|---|---|---|"]
    return found + [
        f"| {rung} | {one.get('share', '')} | {one['mean cosine']:.3f} |" for rung, one in ladder["words left out"].items()
    ]


def _interval(one: list[float]) -> str:
    return f"{one[0]:.3f} [{one[1]:.3f}, {one[2]:.3f}]"


def distil(results: dict[str, Any]) -> list[str]:
    teacher = results["models"]["minilm"]["spearman"]["value"]
    rows = []
    for name, one in results["models"].items():
        found = one["spearman"]
        rows.append(
            f"| {name} | {one['dim']} | {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}] | {100 * found['value'] / teacher:.0f} % | "
            f"{one['texts_per_second']:,} | {one['times_the_teacher']:,} |"
        )
    head = "| model | dim | Spearman on STS-B dev, 95 % interval | of MiniLM's | texts/s | times MiniLM |"
    timed = f"Timed on {results['texts_timed']:,} texts (captions, reviews, questions, news) read for the first time, MiniLM on every 20th of them."
    learnt = f"The student learnt from the same {results['corpus']['texts']:,} texts, which took {results['seconds']['distil and learn']:,.0f} s with MiniLM's part; none is one of the pairs'."
    return [head, "|---|---|---|---|---|---|", *rows, "", f"{timed} {learnt}"]


def train(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {kind}, one epoch of {one['texts']:,} texts | bytes equal in two processes: {one['bytes_equal']} |"
        for kind, one in results["repeats"].items()
    ]
    for one in results["speed"]:
        threads = f"{one['workers']} thread{'s' if one['workers'] > 1 else ''}"
        rows += [
            f"| word2vec, {one['words']:,} words, {threads}, {what} | semvec {one[part]['semvec_words_a_second']:,} words/s, "
            f"gensim {one[part]['gensim_words_a_second']:,}, ratio {one[part]['ratio']} |"
            for part, what in (("training", "training alone"), ("whole", "whole run, corpus and output included"))
        ]
    return ["| what | found |", "|---|---|", *rows]


def search(results: dict[str, Any]) -> list[str]:
    found = [
        f"{results['queries']} queries, the {results['k']} nearest, one by one; every engine in a process of its own; median and 99th "
        "percentile. Filters leave 50, 10, 1 and 0.1 % of the items: median, recall, and the fewest hits that a query got.",
    ]
    for name, engines in results.items():
        if not isinstance(engines, dict):
            continue
        bare = engines.get("FAISS HNSW alone", {}).get("all", {}).get("queries_a_second")
        found += ["", f"**{name}**", "", "| engine | index | recall | p50 | p99 | queries/s | of FAISS HNSW | at once/s |"]
        found += ["|---|---|---|---|---|---|---|---|"]
        for engine, one in engines.items():
            alone, many = one["all"], one.get("at_once", {})
            ratio = f"{alone['queries_a_second'] / bare:.2f}" if bare else ""
            kind = one["about"].get("kind", "") + (
                f", effort {one['about']['effort']}" if one["about"].get("effort", 1) > 1 else ""
            )
            found.append(
                f"| {engine} | {kind} | {alone['recall']:.3f} | {alone['p50_ms']:.2f} ms | {alone['p99_ms']:.2f} ms | "
                f"{alone['queries_a_second']:,} | {ratio} | {many.get('queries_a_second', '')} |"
            )
        found += ["", "| engine | 50 % | 10 % | 1 % | 0.1 % | build | peak | on disk | opened, first query |"]
        found += ["|---|---|---|---|---|---|---|---|---|"]
        for engine, one in engines.items():
            cells = [
                f"{its['p50_ms']:.2f} ms, {its['recall']:.3f}, {its['fewest_hits']}" if its else ""
                for its in (one.get(label) for label in ("50 %", "10 %", "1 %", "0.1 %"))
            ]
            found.append(
                f"| {engine} | {' | '.join(cells)} | {one['build_seconds']:,.0f} s | {one['build_peak_mb']:,} MB | {one['disk_mb']:,.0f} MB | "
                f"{one['open_and_first_query_seconds']:.2f} s |"
            )
    return found


def kill_store(results: dict[str, Any]) -> list[str]:
    kinds = ", ".join(f"{count} in {kind}" for kind, count in results["killed_in"].items())
    return [
        "| `kill -9` at random moments | sound afterwards | acknowledged acts | looks of three readers | torn states seen |",
        "|---|---|---|---|---|",
        f"| {results['trials']} ({kinds}) | {results['sound']} | {results['acts_acknowledged']:,} | {results['reader_looks']:,} | "
        f"{results['torn_states_seen']} |",
    ]


def mteb_check(results: dict[str, Any]) -> list[str]:
    rows = []
    for one in results["tasks"]:
        glove = f"{one['glove']:.4f}" if "glove" in one else ""
        rows.append(
            f"| {one['task']}, {one['kind']} | {one['measure']} | {one['semvec']:.4f} | {one['mteb']:.4f} | "
            f"{one['difference']:+.4f} | {glove} |"
        )
    head = "| task | measure | MiniLM, semvec's adapter | MiniLM, mteb's own wrapper | difference | GloVe 50d |"
    return [f"mteb {results['mteb']}, local files, no hub.", "", head, "|---|---|---|---|---|---|", *rows]


def quality(results: dict[str, Any]) -> list[str]:
    """A column a model with the first measure of every row, the best of the simple baselines in the last."""
    found = results["rows"]
    models = list(dict.fromkeys(one["model"] for row in found for one in row["models"] if not one["baseline"]))
    lines = [f"| data | measure | {' | '.join(models)} | simple baseline |", "|---" * (len(models) + 3) + "|"]
    for row in found:
        first = {one["model"]: next(iter(one["measures"].items())) for one in row["models"]}
        simple = [one["model"] for one in row["models"] if one["baseline"]]
        best = max(simple, key=lambda name: first[name][1]["value"], default=None)
        top = max(first, key=lambda name: first[name][1]["value"])
        unsure = {its["other"] for its in row["differences"] if its["one"] == top and not its["shown"]}
        cells = [
            _interval(list(first[name][1].values())) + ("¹" if name in unsure else "") if name in first else "–"
            for name in models
        ]
        plain = "–" if best is None else f"{best} {_interval(list(first[best][1].values()))}" + ("¹" if best in unsure else "")
        measure = next(iter(first.values()))[0]
        lines.append(f"| {row['label']} ({row['size']}) | {measure} | {' | '.join(cells)} | {plain} |")
    published = [f"{row['label']}: {row['published']}" for row in found if row["published"]]
    return [
        *lines,
        "",
        "95 % intervals (docs/evaluate.md says which). ¹ No difference shown to the best of its line (paired, Holm's correction).",
        *([f"Published: {'; '.join(published)}."] if published else []),
    ]


def evaluators(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {row['data']} | {row['measure']} | {row['semvec']:.4f} | {row['peer']:.4f} ({row['of']}) |" for row in results["rows"]
    ]
    return ["| data | measure | semvec | their own evaluator |", "|---|---|---|---|", *rows]


def encode_speed(results: dict[str, Any]) -> list[str]:
    peaks = ", ".join(f"{name} {rate:,}" for name, rate in results["peak_gops"].items())
    lines = [
        "| model | texts | engine | texts/s | × sentence-transformers | cosine to it, mean (least) | share of the peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, found in results["models"].items():
        for kind, its in found["kinds"].items():
            lines += [
                f"| {model} | {kind}, {its['tokens']:g} tokens | {name} | {one['texts_per_second']:,} | {one['times']:.2f} | "
                f"{one['cosine_mean']:.5f} ({one['cosine_least']:.4f}) | {one['share_of_peak']:.0%} |"
                for name, one in its["engines"].items()
            ]
    minilm = results["models"]["minilm"]
    one = ", ".join(f"{name} {took:.1f} ms" for name, took in minilm["one_text_ms"].items())
    pads = ", ".join(f"{kind} {its['padding_of_peer']:.1%}" for kind, its in minilm["kinds"].items())
    first = ", ".join(f"{name} {took:.2f} s" for name, took in results["start_seconds"].items())
    most = ", ".join(f"{name} {size:,} MB" for name, size in results["memory_mb"].items())
    files = results["files"]
    old = "; ".join(f"{kind} {its['torch']:,} and {its['packed']:,}" for kind, its in results["avx2"].items())
    tables = ", ".join(f"{name} {its['texts_per_minute'] / 1e6:.2f}" for name, its in results["tables"].items())
    return [
        *lines,
        "",
        f"From text to numpy. The peak is the best rate of a large product, in 10⁹ operations a second: {peaks}; what an engine does is "
        "counted as the products and the attention of the model, without padding. "
        f"Of what sentence-transformers runs is padding: {pads}; packed and in bytes nothing is. The most memory of a process: {most}. "
        f"A process for one sentence: {first}. 3,000 sentences by the library {files['library']:.2f} s, from file to file "
        f"{files['file to file']:.2f} s. "
        f"One query alone: {one}. With AVX2 alone, texts/s by torch and by packed: {old}. "
        f"Tables of vectors, 10⁶ pieces of eight words a minute: {tables}.",
    ]


def late_interaction(results: dict[str, Any]) -> list[str]:
    def more(one: dict[str, float]) -> str:
        return f"{one['more']:+.3f} [{one['more_low']:.3f}, {one['more_high']:.3f}]" if "more" in one else "–"

    def plain(one: dict[str, float], name: str, form: str) -> str:
        return format(one[name], form) if name in one else "–"

    columns = {"of exhaustive": ("share_of_exhaustive", ".1%"), "its ten found": ("recall_of_exhaustive", ".3f"),
               "ms a query": ("ms", ".1f"), "times as fast": ("times", ".1f"), "bytes a token": ("bytes_a_token", ".0f")}  # fmt: skip
    lines = [f"| set | search | nDCG@10 | to one vector a text | {' | '.join(columns)} |", "|---" * (4 + len(columns)) + "|"]
    for name, found in results["retrieval"].items():
        lines += [
            f"| {name} | {way} | {one['ndcg']:.3f} [{one['low']:.3f}, {one['high']:.3f}] | {more(one)} | "
            f"{' | '.join(plain(one, *its) for its in columns.values())} |"
            for way, one in found["rows"].items()
        ]
    sizes = "; ".join(
        f"{name} {its['texts']:,} texts, {its['tokens']:,} tokens, {its['queries']:,} queries"
        for name, its in results["retrieval"].items()
    )
    lines += ["", f"{sizes}. Differences with 95 % intervals over queries.", "", *_pruned(results["pruning"])]
    worst = ", ".join(f"{name} {value:.0e}" for name, value in results["oracle"].items())
    explained, words, phrases = results["explain"], results["wic"], results["keyphrases"]
    accuracy = ", ".join(
        f"{name} {one['accuracy']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        for name, one in words.items()
        if name != "published"
    )
    published = ", ".join(f"{name} {value:.3f}" for name, value in words["published"].items())
    ranked = ", ".join(
        f"{name} {one['F1@10']:.3f} [{one['low']:.3f}, {one['high']:.3f}] in {one['seconds']:.0f} s"
        for name, one in phrases["rows"].items()
    )
    return [
        *lines,
        "",
        f"MaxSim of all of ADI's queries and texts, largest differences of scores: {worst}. Explanations of {explained['pairs']} pairs of STS-B add "
        f"up to the score within {explained['largest_difference']:.0e}; two texts of {explained['words']} words take {explained['ms']:.0f} ms, "
        f"leaving each word out {explained['ms_leaving_each_out']:,.0f} ms. WiC dev, threshold from its training pairs: {accuracy}; published: "
        f"{published}. Keyphrases of {phrases['documents']} abstracts of Inspec, one to three words, F1@10 (stems; {phrases['gold_in_text']:.0%} of "
        f"the gold phrases, which join two sets of keys, stand in the text): {ranked}.",
    ]


def _pruned(results: dict[str, Any]) -> list[str]:
    """A line a share of the tokens kept, a column a strategy; what differs from chance is marked."""
    first = next(iter(results.values()))
    ways = list(next(its for share, its in first.items() if share != "all"))
    lines = [f"| set | tokens kept | {' | '.join(ways)} |", "|---" * (len(ways) + 2) + "|"]
    for name, found in results.items():
        lines.append(f"| {name} | all | {found['all']['ndcg']:.3f} |" + " |" * (len(ways) - 1))
        for share, its in found.items():
            if share != "all":
                cells = (f"{one['ndcg']:.3f}" + "²" * (one["more_low"] > 0 or one["more_high"] < 0) for one in its.values())
                lines.append(f"| {name} | {float(share):.0%} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "nDCG@10 of the tokens kept. ² Differs from random (95 % of the queries' draws). Learned: from SciFact's training queries.",
    ]


def maps(results: dict[str, Any]) -> list[str]:
    lines = ["| points | method | s | trustworthiness | continuity | overlap | the same again |", "|---" * 7 + "|"]
    for name, its in results["sets"].items():
        lines += [
            f"| {name}, {its['points']:,} × {its['dim']} | {way} | {one['seconds']:.1f} | {one['trustworthiness']:.3f} | "
            f"{one['continuity']:.3f} | {one['overlap']:.3f} | {'yes' if one['same'] else 'no'} |"
            for way, one in its["rows"].items()
        ]
    if many := results.get("many"):
        whole = many["neighbours_s"] + many["layout_s"]
        lines += [
            f"| sentences, {many['points']:,} × 384 | {way} | {seconds:.0f} | {one['trustworthiness']:.3f} | {one['continuity']:.3f} | "
            f"{one['overlap']:.3f} | |"
            for way, seconds, one in (
                ("semvec, umap", whole, many["semvec"]),
                ("umap-learn", many["umap-learn"]["seconds"], many["umap-learn"]),
            )
        ]
    held = ", ".join(
        f"{name} {one['moved']:g} ({one['true_of_new']:.0%} of the new ones' neighbours true, {one['true_of_new_if_fitted']:.0%} if all are fitted)"
        for name, one in results["held"].items()
    )
    lines += ["", f"Medians of three runs, of all 10 nearest. 1,000 new points on a map of 4,000 move the old ones by: {held}. "
              f"Trustworthiness differs from scikit-learn's by {results['scikit_learn_difference']:.0e}."]  # fmt: skip
    if many:
        lines[-1] += (
            f" Of {many['points']:,} points: neighbours {many['neighbours_s']:.0f} s (every pair), layout {many['layout_s']:.0f} s, measures "
            f"{many['honesty_s']:.0f} s, at most {many['peak_mb']:,} MB, {many['before_mb']:,} MB of them before; a first page of 5,000 of them by PCA, with "
            f"groups and names, in {many['first_page_s']:.1f} s. openTSNE runs on two threads, all others on one."
        )
    return lines


def map_frames(results: dict[str, Any]) -> list[str]:
    lines = ["| page | MB | dragging: ms between frames, median, 95th, longest | zooming |", "|---" * 4 + "|"]
    lines += [
        f"| {name} | {one['megabytes']:.1f} | {one['drag_median_ms']:.0f}, {one['drag_p95_ms']:.0f}, {one['drag_longest_ms']:.0f} | {one['zoom_median_ms']:.0f}, {one['zoom_p95_ms']:.0f}, {one['zoom_longest_ms']:.0f} |"
        for name, one in results["pages"].items()
    ]
    return [*lines, "", f"{results['points']:,} points in {results['browser']}: without a graphics card, on the processor. datamapplot fetches its "
            "scripts when a page is made, embedding-atlas wants a server beside the page: neither makes one file offline."]  # fmt: skip


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "parity": ("Are the vectors those of the libraries they come from?", parity),
    "memory": ("Is memory bounded by the batch?", memory),
    "words": ("Static word vectors", words),
    "train": ("Does a seed repeat the bytes, and what does training cost beside gensim alone?", train),
    "encode_speed": ("How fast do texts become vectors?", encode_speed),
    "kill": ("Does an interrupted run end with the same bytes?", kill),
    "search": ("How fast and how exact is the search of a collection?", search),
    "late_interaction": ("Late interaction: how good, how small, how fast?", late_interaction),
    "maps": ("Maps", maps),
    "map_frames": ("How smoothly does a map move?", map_frames),
    "kill_store": ("Does a collection keep what it acknowledged?", kill_store),
    "finetune": ("Fine-tuning: how good, how dear?", finetune),
    "selection": ("Fewer tokens: what do they keep, and what do they cost?", selection),
    "augment": ("Does looking things up help?", augment),
    "few_labels": ("How far do few labels go, or none?", few_labels),
    "continual": ("One task after the other: what is forgotten, and what helps?", continual),
    "engine": ("Is a run on Ray the run of this process?", ray_engine),
    "serve": ("What does a server cost beside the library?", serve),
    "quality": ("How good are the bundled models?", quality),
    "evaluators": ("Does semvec evaluate as others do on the same files?", evaluators),
    "mteb_check": ("Does MTEB find the same through the adapter as through its own wrapper?", mteb_check),
    "distill": ("What does a static model keep of its teacher, and how much faster is it?", distil),
}


def main() -> None:
    parts = [HEAD]
    for name, (title, table) in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            made = record["machine"]
            versions = ", ".join(f"{package} {number}" for package, number in made["versions"].items())
            cpu = " ".join([made["cpu"], *(["with", " ".join(made["units"])] if made.get("units") else [])])
            where = f"`python benchmarks/{name}.py --data FOLDER`, {record['date']}, {cpu}, {made['cores']} cores, {versions}."
            parts.append("\n".join([f"## {title}", "", *table(record["results"]), "", where, ""]))
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    computed = json.loads((RESULTS / "scale.json").read_text(encoding="utf-8"))["results"]
    place = ROOT / "docs" / "scale.md"
    before, _, rest = place.read_text(encoding="utf-8").partition(SCALE[0])
    table = "\n".join(scale(computed))
    place.write_text(f"{before}{SCALE[0]}\n{table}\n{SCALE[1]}{rest.partition(SCALE[1])[2]}", encoding="utf-8")
    found = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))["results"]["rows"]
    firsts = list({row["task"]: row for row in reversed(found)}.values())[::-1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, _, rest = readme.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    table = "\n".join(quality({"rows": firsts}))
    (ROOT / "README.md").write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
