"""The tables of what was learnt: fine-tuned models, and models and layers that read fewer tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semvec.measures.basic import mean
from semvec.measures.intervals import NO_DIFFERENCE, Difference, Outcome, differences
from semvec.measures.spans import span_f1
from semvec.text.markdown import table

TUNED, FROZEN, ALONE = "fine-tuned", "frozen encoder, linear head", "without its neighbours"
NOTHING = "looking nothing up"


def _over_seeds(runs: list[dict[str, Any]], line: str) -> str:
    """Return the mean over all seeds of the first measure of ``line``, and between what the seeds lie; a score of 0 to 1 in %."""
    values = [next(iter(run["lines"][line].values()))["value"] for run in runs if line in run["lines"]]
    if not values:
        return "–"
    shown = [100 * value if max(values) <= 1 else value for value in values]
    mean = sum(shown) / len(shown)
    return f"{mean:.1f}" + (f" ({min(shown):.1f} to {max(shown):.1f})" if len(shown) > 1 else "")


def _by(runs: list[dict[str, Any]], *names: str) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault(tuple(run[name] for name in names), []).append(run)
    return found


def _half(runs: list[dict[str, Any]], line: str) -> str:
    """Return half the width of the 95 % intervals by the test examples, the mean over the seeds."""
    its = [next(iter(run["lines"][line].values())) for run in runs]
    scale = 100 if max(one["value"] for one in its) <= 1 else 1
    return f"{scale * sum(one['high'] - one['low'] for one in its) / len(its) / 2:.1f}"


def finetune(results: dict[str, Any]) -> list[str]:
    """The quality of every set, what every strategy costs, and what neighbours add."""
    sets, lines = results["sets"], []
    head = "| data (learnt from, test) | task | measure | fine-tuned | ± of the test | encoder before | simplest | published |"
    lines += [head, "|---" * 8 + "|"]
    for name, its in sets.items():
        runs = [run for run in results.get("quality", []) if run["set"] == name]
        if not runs:
            continue
        measure = next(iter(runs[0]["lines"][TUNED]))
        others = [line for line in runs[0]["lines"] if line not in (TUNED, ALONE)]
        before = [line for line in others if line in (FROZEN, "the encoder before")]
        simplest = [line for line in others if line not in before]
        cells = [_over_seeds(runs, group[0]) if group else "–" for group in (before, simplest)]
        counts = f"{runs[0]['examples']['train']:,}, {runs[0]['examples']['test']:,}"
        lines.append(
            f"| {name} ({counts}) | {its['task']} | {measure} | {_over_seeds(runs, TUNED)} | {_half(runs, TUNED)} | {cells[0]} | "
            f"{cells[1]} | {its['published']} |"
        )
    seeds = sorted({run["seed"] for run in results.get("quality", [])})
    lines += ["", f"all-MiniLM-L6-v2, all weights learnt at the defaults (SQuAD and the translator: fewer epochs), seeds {seeds}: mean, and "
              "between what the seeds lie. ± is half of one run's 95 % interval. Chosen on validation data; the test was looked at once a run.", ""]  # fmt: skip
    strategies = _by(results.get("strategies", []), "strategy")
    shown = list(dict.fromkeys(run["set"] for run in results.get("strategies", [])))
    if shown:
        lines += ["| strategy | parameters | stored MB | " + " | ".join(f"{name}: {part}" for name in shown for part in ("test", "s", "MB")) + " |",
                  "|---" * (3 + 3 * len(shown)) + "|"]  # fmt: skip
    for (strategy,), runs in strategies.items():
        cells = []
        for name in shown:
            its = [run for run in runs if run["set"] == name]
            cells += [_over_seeds(its, TUNED), _seconds(its), f"{max(run['peak_mb'] for run in its):,}"] if its else ["–"] * 3  # fmt: skip
        lines.append(f"| {strategy} | {runs[0]['learning']:,} | {runs[0]['stored_mb']:.2f} | {' | '.join(cells)} |")
    if shown:
        lines += ["", "Parameters (the head's included) and what is stored: of the first set. Seconds: the whole run, loading and validation included; "
                  "none where it was interrupted. "
                  "MB: the most memory of the process."]  # fmt: skip
    near = _by(results.get("neighbours", []), "set", "strategy")
    if near:
        lines += [
            "",
            "| data | strategy | with its neighbours | the head alone | weights chosen | difference, seed by seed |",
            "|---" * 6 + "|",
        ]
    for (name, strategy), runs in near.items():
        weights = ", ".join(f"{run['neighbours']['weight']:g}" for run in runs)
        told = [line.partition(": ")[2] for run in runs for line in run["differences"] if ALONE in line]
        alone = [run if ALONE in run["lines"] else {**run, "lines": {ALONE: run["lines"][TUNED]}} for run in runs]
        lines.append(
            f"| {name} | {strategy} | {_over_seeds(runs, TUNED)} | {_over_seeds(alone, ALONE)} | {weights} | {'; '.join(told) or '–'} |"
        )
    return lines


def _seconds(runs: list[dict[str, Any]]) -> str:
    """Return the mean seconds of those of ``runs`` that were timed."""
    timed = [run["seconds"] for run in runs if run["seconds"] is not None]
    return f"{sum(timed) / len(timed):.0f}" if timed else "–"


def selection(results: dict[str, Any]) -> list[str]:
    """Layers, rules, heads, pruned encoders and trimmed vocabularies."""
    rows = [{**row, "call": run["call"]} for run in results["runs"] for row in run["rows"]]
    of = {part: [row for row in rows if row["call"][0] == part] for part in ("layer", "rules", "heads", "pruned", "trim")}
    lines = ["| a batch of 32 texts of 128 tokens | ms | all tokens, ms | times as fast |", "|---" * 4 + "|"]
    lines += [f"| {row['layer']} | {row['ms']:.1f} | {row['dense_ms']:.1f} | {row['times']:.2f} |" for row in of["layer"]]
    if of["heads"]:
        lines += ["", *_heads(of["heads"])]
    for place, said in (
        ("behind", "the mean of the tokens that are kept of the whole text"),
        ("before", "only what is kept is encoded"),
    ):
        its = [row for row in of["rules"] if row["place"] == place]
        if its:
            lines += ["", *_rules(its, said)]
    if of["pruned"]:
        lines += ["", "| SST-2, test | accuracy | times as fast as the whole |", "|---" * 3 + "|"]
        lines += [
            f"| {name} | {_spread(its, 'value', 100)} | {_spread(its, 'times', 1, 2)} |"
            for (name,), its in _by(of["pruned"], "model").items()
        ]
    if of["trim"]:
        lines += [
            "",
            "| trimmed for the texts of | pieces of words | MB | new texts in the same tokens | their cosines: mean, lowest |",
            "|---" * 5 + "|",
        ]
        lines += [
            f"| {row['set']} ({row['texts']:,}) | {row['pieces'][0]:,} → {row['pieces'][1]:,} | {row['bytes'][0] / 1e6:.0f} → {row['bytes'][1] / 1e6:.0f} | "
            f"{row['new']['alike'] / row['new']['texts']:.0%} of {row['new']['texts']:,} | {row['new']['mean']:.3f}, {row['new']['lowest']:.2f} |"
            for row in of["trim"]
        ]
        lines += ["", "The texts they were trimmed for come in the tokens they came in."]
    return lines


LEAD, ALL = "lead", "all tokens"


def _heads(rows: list[dict[str, Any]]) -> list[str]:
    sets = list(dict.fromkeys(row["call"][1] for row in rows))
    lines = [f"| a head on the frozen encoder, accuracy | parameters | {' | '.join(sets)} |", "|---" * (2 + len(sets)) + "|"]
    for name in dict.fromkeys(row["call"][2] for row in rows):
        its = [row for row in rows if row["call"][2] == name]
        cells = [_spread([row for row in its if row["call"][1] == one], "value", 100) for one in sets]
        lines.append(f"| {name} | {its[0]['learning']:,} | {' | '.join(cells)} |")
    return [*lines, "", f"Between what seeds {sorted({row['call'][3] for row in rows})} lie; parameters of the first set."]


def _rules(rows: list[dict[str, Any]], said: str) -> list[str]:
    sets = list(dict.fromkeys(row["call"][1] for row in rows))
    shares = sorted({row["share"] for row in rows} - {1.0})
    heads = [f"{one}: {share:.0%}" for one in sets for share in shares]
    lines = [f"| {said} | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for rule in dict.fromkeys(row["rule"] for row in rows):
        cells = []
        for one in sets:
            its = [row for row in rows if row["rule"] == rule and row["call"][1] == one]
            cells += [_spread([row for row in its if row["share"] in (share, 1.0)], "value", 100) for share in shares]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    half = [(row["high"] - row["low"]) * 50 for row in rows]
    timed = {
        share: sum(
            row["seconds"] for row in rows if row["share"] == share and row.get("seed", 0) == 0 and row["rule"] in (LEAD, ALL)
        )
        for share in (*shares, 1.0)
        if "seconds" in rows[0]
    }
    cost = "".join(f"; {share:.0%} of the tokens: {timed[share] / timed[1.0]:.0%} of the time" for share in timed if share < 1)
    return [*lines, "", f"Logistic regression, accuracy; half of the 95 % intervals {min(half):.1f} to {max(half):.1f}{cost}."]


def _spread(rows: list[dict[str, Any]], what: str, scale: float, digits: int = 1) -> str:
    """Return the mean of ``what``, and between what it lies."""
    values = [scale * row[what] for row in rows]
    if not values:
        return "–"
    shown = f"{sum(values) / len(values):.{digits}f}"
    return shown + (f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else "")


def augment(results: dict[str, Any]) -> list[str]:
    """Ways of looking things up, facts, open-book answers."""
    runs, lines = results["runs"], list[str]()
    rows = [
        {**({"way": run["call"][2]} if run["call"][0] == "ways" else {}), **row, "call": run["call"]}
        for run in runs
        for row in run["rows"]
    ]
    for strategy in ("head", "full"):
        its = [row for row in rows if row["call"][0] in ("plain", "ways") and row["call"][-2] == strategy]
        if its:
            lines += [*_ways(its, "frozen encoder" if strategy == "head" else "whole encoder learnt"), ""]
    facts = _by([{**row, "way": row["call"][1]} for row in rows if row["call"][0] == "facts"], "way")
    if facts:
        lines += ["| labels that hang on a fact | before it is there | with it | after it was removed |", "|---" * 4 + "|"]
        for (way,), its in facts.items():
            cells = [_spread([row[name] for row in its], "value", 100) for name in ("before", "with the facts", "after")]
            lines.append(f"| {way} | {' | '.join(cells)} |")
        first = next(iter(facts.values()))[0]
        lines += ["", f"Accuracy on {first['test']:,} made-up words whose meaning, a name of WNUT-17, stands in one text of the collection; the label is its kind. "
                  f"Always saying the commonest: {100 * first['commonest']:.1f}.", ""]  # fmt: skip
    scale = [row for row in rows if row["call"][0] == "scale"]
    if scale:
        head = [
            "passages (int8)",
            "index",
            "MB",
            "asked at once",
            "ms a text: reading it, searching, both",
            "searching to reading",
        ]
        cells = [
            [
                f"{row['items']:,}",
                row["kind"],
                f"{row['bytes'] / 1e6:,.0f}",
                str(row["together"]),
                _costs(row, ("reading_ms", "searching_ms", "looking_ms"), 2),
                f"{row['searching_ms'] / row['reading_ms']:.2f}",
            ]
            for row in scale
        ]
        lines += [
            table([head, *cells]),
            "",
            "MiniLM reads; 8 neighbours; 100,000 real sentences, and these with noise beyond.",
            "",
        ]
    squad = [row for row in rows if row["call"][0] == "squad"]
    if squad:
        head = ["SQuAD, open book", "k", "right paragraph found", "F1", "exact", "ms a question: looking, reading a passage"]
        cells = [
            [
                row["retriever"],
                str(row["k"]),
                f"{100 * row['recall']:.1f} %",
                f"{100 * row['f1']:.1f}",
                f"{100 * row['exact']:.1f}",
                _costs(row, ("looking_ms", "reading_ms"), 1),
            ]
            for row in squad
        ]
        lines.append(table([head, *cells]))
        sizes = next(row for row in squad if "paragraphs" in row)
        lines += ["", f"{sizes['questions']:,} questions of test articles over {sizes['paragraphs']:,} paragraphs of all articles; MiniLM finds and, fine-tuned on the other articles, reads.", ""]  # fmt: skip
    return lines[:-1]


def _costs(row: dict[str, Any], names: Sequence[str], digits: int) -> str:
    """Return the numbers of ``row`` that are called ``names``, a dash for one that is not there."""
    return ", ".join(f"{row[name]:.{digits}f}" if name in row else "–" for name in names)


def _ways(every: list[dict[str, Any]], said: str) -> list[str]:
    sets = list(dict.fromkeys(row["call"][1] for row in every))
    measures = [next(row["measure"] for row in every if row["call"][1] == name) for name in sets]
    heads = [f"{name}, {one}" for name, one in zip(sets, measures, strict=True)]
    lines = [f"| {said} | {' | '.join(heads)} |", "|---" * (1 + len(sets)) + "|"]
    ways, told = list(dict.fromkeys(row["way"] for row in every)), {}
    for name in sets:
        told |= {(name, way): its for way, its in _differences([row for row in every if row["call"][1] == name]).items()}
    for way in ways:
        cells, line = [], NOTHING if way == NOTHING else "with what it finds"
        for name in sets:
            its = [row for row in every if (row["way"], row["call"][1]) == (way, name)]
            cells.append(_spread([row["lines"][line][row["measure"]] for row in its], "value", 100))
        lines.append(f"| {way} | {' | '.join(cells)} |")
        if way != NOTHING:
            lines.append(f"| … beside {NOTHING} | {' | '.join(told.get((name, way), '–') for name in sets)} |")
    costs = [row["cost"] for row in every if "cost" in row and row["cost"]["ms"]["looking"] > 0.05]
    if costs:
        looking, alone = ([its["ms"][part] for its in costs] for part in ("looking", "alone"))
        lines += ["", f"Looking up takes {min(looking):.1f} to {max(looking):.1f} ms a text (its encoding included), answering alone {min(alone):.1f} to {max(alone):.1f}; "
                  f"memories have {min(its['bytes'] for its in costs) / 1e6:.0f} to {max(its['bytes'] for its in costs) / 1e6:.0f} MB."]  # fmt: skip
    return [
        *lines,
        "",
        "Differences are of the same test examples under the same seeds, which are taken as given; p by paired tests, corrected within a set.",
    ]


def _differences(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return by how much each way is better than looking nothing up, on one set, example by example of the seeds that both have."""
    of, outcomes = {"accuracy": mean, "span F1": span_f1}[rows[0]["measure"]], {}
    for way in dict.fromkeys(row["way"] for row in rows):
        its = sorted((row for row in rows if row["way"] == way), key=lambda row: row["call"][-1])
        counts = [np.frombuffer(bytes.fromhex(row["rows"]), np.uint8).reshape(-1, row["width"]).astype(np.int64) for row in its]
        n = len(counts[0])
        examples = np.concatenate([row["call"][-1] * n + np.arange(n) for row in its])
        column = np.concatenate(counts)
        outcomes[way] = Outcome("", of, (column[:, 0] if column.shape[1] == 1 else column,), examples, examples % n)
    if NOTHING not in outcomes:
        return {}
    ways = [way for way in outcomes if way != NOTHING]
    return {way: _told(its) for way, its in zip(ways, differences(outcomes, [(way, NOTHING) for way in ways]), strict=True)}


def few_labels(results: dict[str, Any]) -> list[str]:
    """Labels without examples, and with eight each."""
    rows = [{**row, "set": run["call"][1], "part": run["call"][0]} for run in results["runs"] for row in run["rows"]]
    zero, few, lines = [row for row in rows if row["part"] == "zero"], [row for row in rows if row["part"] == "few"], list[str]()
    if zero:
        lines += ["| no examples (test) | always the commonest | by descriptions | calibrated |", "|---" * 4 + "|"]
        for (name,), its in _by(zero, "set").items():
            plain, calibrated = sorted(its, key=lambda row: row["calibrate"])
            cells = [f"{100 * row['value']:.1f} ± {50 * (row['high'] - row['low']):.1f}" for row in (plain, calibrated)]
            lines.append(f"| {name} ({plain['test']:,}) | {100 * plain['commonest']:.1f} | {' | '.join(cells)} |")
        lines += ["", "MiniLM, accuracy, ± half of the 95 % intervals; the descriptions were written down once.", ""]
    if few:
        lines += [
            "| eight examples a label (test) | linear head, frozen encoder | few-shot | more on the same draws |",
            "|---" * 4 + "|",
        ]
        for row in few:
            both = [np.array(its) for its in row["accuracies"].values()]
            cells = [f"{100 * its.mean():.1f} ± {100 * its.std(ddof=1):.1f}" for its in (*both, both[1] - both[0])]
            lines.append(f"| {row['set']} ({row['test']:,}) | {' | '.join(cells)} |")
        lines += [
            "",
            f"MiniLM, accuracy, mean and standard deviation of {len(both[0])} draws. BANKING77, of whose 616 texts 4,000 pairs are a small part, "
            "is learnt by labels (LP-FT), the others by pairs.",
            "",
        ]
    for part, said in (("soft", SOFT_TOLD), ("cloze", CLOZE_TOLD)):
        if its := [row for row in rows if row["part"] == part]:
            methods = list(its[0]["accuracies"])
            first = ["never learnt"] if part == "cloze" else []
            lines += [f"| {part} (test) | {' | '.join([*first, *methods])} |", "|---" * (1 + len(first) + len(methods)) + "|"]
            for row in its:
                cells = [f"{100 * row['never learnt']['value']:.1f}"] if first else []
                cells += [f"{100 * np.mean(one):.1f} ± {100 * np.std(one, ddof=1):.1f}" for one in row["accuracies"].values()]
                lines.append(f"| {row['set']} ({row['test']:,}) | {' | '.join(cells)} |")
            lines += ["", said, ""]
    return lines[:-1]


SOFT_TOLD = "Soft prompts, which are strategies of `semvec finetune`: MiniLM as it is, eight examples a label, the first five draws of the table above, 40 epochs."
CLOZE_TOLD = "“{} It was [MASK].”, 16 examples a label, 10 draws, 20 epochs at 3e-4: a SPLADE of BERT-tiny (4 M parameters), the only masked-LM checkpoint at hand."


STREAMS = {
    "class": "BANKING77 as 7 tasks of 11 intents, one of all so far is said",
    "domain": "sentiment of film sentences, then film reviews, then Chinese hotel reviews",
}


def continual(results: dict[str, Any]) -> list[str]:
    """What each strategy comes to on each stream, and how much less it forgets than naive training."""
    lines: list[str] = []
    for part, title in STREAMS.items():
        runs = [run for run in results["runs"] if run["call"][0] == part]
        if not runs:
            continue
        by_seed = {(run["call"][1], run["call"][2]): run["rows"][0] for run in runs}
        strategies = list(dict.fromkeys(strategy for strategy, _ in by_seed))
        heads = [
            "average accuracy",
            "from joint",
            "right after a task",
            "forgetting",
            "less than naive",
            "forward transfer",
            "s",
            "kept",
        ]
        counts = sorted({sum(name == strategy for name, _ in by_seed) for strategy in strategies})
        seeds = "one seed" if counts == [1] else f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seeds"
        lines += [f"**{title}** ({seeds})", "", f"| | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
        for strategy in strategies:
            its = {seed: row for (name, seed), row in by_seed.items() if name == strategy}
            ends = {seed: 100 * float(np.mean(_ends(row))) for seed, row in its.items()}
            joint = {seed: 100 * float(np.mean(_ends(row))) for (name, seed), row in by_seed.items() if name == "joint"}
            naive = {seed: row["measures"] for (name, seed), row in by_seed.items() if name == "naive"}
            both = [seed for seed in its if seed in naive] if strategy not in ("naive", "joint") else []
            measures = [row.get("measures", {}) for row in its.values()]
            times = [
                float(np.sum(row["seconds"])) for row in its.values() if row["seconds"] is not None
            ]  # None: it was stopped meanwhile
            less = [100 * (naive[seed]["forgetting"] - its[seed]["measures"]["forgetting"]) for seed in both]
            cells = [
                _mean_of(list(ends.values())),
                _mean_of([ends[seed] - joint[seed] for seed in ends if seed in joint and strategy != "joint"]),
                *(
                    _mean_of([100 * its[name] for its in measures if its.get(name) is not None])
                    for name in ("learning accuracy", "forgetting")
                ),
                _mean_of(less)
                + (
                    ", no more than the spread"
                    if len(less) > 1 and np.mean(less) <= np.std(less, ddof=1 if len(less) > 1 else 0)
                    else ""
                ),
                _mean_of([100 * its["forward transfer"] for its in measures if its.get("forward transfer") is not None]),
                f"{min(times):,.0f}" if times else "–",
                _mb(max(row["kept"][-1] for row in its.values())) if measures[0] else "all texts",
            ]
            lines.append(f"| {strategy} | {' | '.join(cells)} |")
        lines.append("")
    return [
        *lines,
        "MiniLM, in %, mean ± standard deviation over seeds, which decide the examples, the split and the training; s: learning all tasks, of the quickest seed; "
        "kept: beside the model. joint learns all tasks at once. Strengths of ewc, online-ewc and lwf were chosen on train of BANKING77.",
    ]


def _ends(row: dict[str, Any]) -> list[float]:
    """Return the accuracy on every task at the end."""
    return list(row["last"].values()) if isinstance(row["last"], dict) else [its["value"] for its in row["last"]]


def _mean_of(values: Sequence[float]) -> str:
    if not len(values):
        return "–"
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def _told(its: Difference) -> str:
    if its.by is None or its.p is None:
        return "–"
    sign = -1 if its.one == NOTHING else 1
    low, high = sorted((sign * its.by.low, sign * its.by.high))
    by = f"{100 * sign * its.by.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{by}, {'p < 0.001' if its.p < 0.001 else f'p = {its.p:.3f}'}" if its.shown else f"{by}, {NO_DIFFERENCE}"
