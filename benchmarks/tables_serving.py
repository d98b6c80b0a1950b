"""The tables of what is served, and of what more than one machine costs."""

from __future__ import annotations

from typing import Any


def serve(results: dict[str, Any]) -> list[str]:
    memory = results["memory_mb"]
    return [
        "| clients at once | texts a request | texts a second | of the library called directly | ms a request, median, 99th percentile | lost | wrong | MB at first, at most |",
        "|---" * 8 + "|",
        f"| {results['clients']} | {results['texts']} | {results['texts_per_s']:.0f} | {results['ratio']:.2f} | {results['p50_ms']:.0f}, {results['p99_ms']:.0f} | "
        f"{results['lost']} | {results['wrong']} | {memory[0]:,}, {max(memory):,} |",
        "",
        f"{results['seconds']:.0f} seconds, sentences, MiniLM; the clients run on the same two cores. The library encodes {results['library_texts_per_s']:.0f} texts a "
        "second, asked for as many at once as wait at the server.",
    ]


def ray_engine(results: dict[str, Any]) -> list[str]:
    lines = [
        "| model | texts | actors | killed | same bytes as this process | seconds here | seconds on Ray |",
        "|---" * 7 + "|",
    ]
    for row in results["runs"]:
        same = "yes" if row["same_bytes"] else "NO"
        counts = f"{row['model']} | {row['texts']:,} | {row['actors']} | {row['killed']}"
        lines.append(f"| {counts} | {same} | {row['seconds_here']:.0f} | {row['seconds_ray']:.0f} |")
    return [
        *lines,
        "",
        "Sentences, Parquet; Ray runs on the same two cores, and the process of an actor was killed where 30 % and 60 % were done.",
    ]


def scale(results: dict[str, Any]) -> list[str]:
    sizes = [row["size"] for row in results["kept"]]
    heads = [f"{size:,} texts" for size in sizes]
    lines = [f"| core-hours (dollars at {results['price']:.2f} each) | {' | '.join(heads)} |", "|---" * 4 + "|"]
    for row in results["encoding"]:
        cells = [f"{hours:,.0f} (${hours * results['price']:,.0f})" for hours in row["core_hours"].values()]
        lines.append(
            f"| encode {row['kind']} by {row['engine']}, {row['texts_per_core_second']:.0f} a second and core | {' | '.join(cells)} |"
        )
    kept = results["kept"]

    def listed(name: str, numbers: list[float], form: str = ",.0f") -> str:
        return f"| {name} | {' | '.join(format(number, form) for number in numbers)} |"

    lines.append(listed("index (HNSW)", [row["build_core_hours"] for row in kept], ",.1f"))
    lines += ["", f"| GB, 384 dimensions | {' | '.join(heads)} |", "|---" * 4 + "|"]
    lines += [listed(f"vectors alone, {name}", [row["vectors_gb"][name] for row in kept]) for name in kept[0]["vectors_gb"]]
    lines.append(listed("a collection on the disk, float32, with texts and index", [row["disk_gb"] for row in kept]))
    lines.append(listed("… in memory while it is searched", [row["memory_gb"] for row in kept]))
    lines += [
        "",
        "| k | shards | each gives, for 99.9 % | recalled (by drawing) | of half as many | merging, ms |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {row['k']} | {row['shards']} | {row['fewest']} | {100 * row['recalled']:.2f} % ({100 * row['simulated']:.2f} %) | {100 * row['half']:.1f} % | {row['merge_ms']:.2f} |"
        for row in results["sharding"]
    ]
    return [
        *lines,
        "",
        "Core-hours are in proportion to what was measured with MiniLM on two cores; the price is an assumption. Merging is that of k each.",
    ]
