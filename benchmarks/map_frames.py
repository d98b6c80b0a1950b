"""How smoothly a page of 100,000 points moves: milliseconds between frames while it is dragged and zoomed, headless.

python benchmarks/map_frames.py [--points 100000]

Beside plotly (scattergl) and bokeh (webgl) with the same points in the same browser: pip install playwright plotly bokeh, and a
Chromium. Without a graphics card the browser draws by SwiftShader on the processor, which is the worst case.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import keep

from semvec.visualise.column import COLOURS, Column
from semvec.visualise.honesty import Honesty, Share
from semvec.visualise.map import Map, View
from semvec.visualise.near import Near
from semvec.visualise.page import page

SIZE = {"width": 1200, "height": 800}
ROUNDS = 1
RECORD = """() => { window.frames_ = []; let last = 0; const go = (now) => { if (last) window.frames_.push(now - last);
  last = now; if (window.frames_.length < 100000) window.handle_ = requestAnimationFrame(go); }; window.handle_ = requestAnimationFrame(go); }"""
STOP = "() => { cancelAnimationFrame(window.handle_); return window.frames_; }"


def points(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 8, count)
    middles = rng.standard_normal((8, 2)) * 4
    return (middles[group] + rng.standard_normal((count, 2))).astype(np.float32), group


def own(places: np.ndarray, group: np.ndarray) -> str:
    n = len(places)
    nothing = Honesty(10, Share(1), Share(1), Share(1), np.ones(n, np.float32))
    near = Near(np.tile(np.arange(10), (n, 1)), np.zeros((n, 10), np.float32))
    names = [f"text {at} of group {its}" for at, its in enumerate(group)]
    columns = {"group": Column.of("group", [f"group {its}" for its in group])}
    view = View("one", places, nothing, "made up")
    return page(Map("Frames", (view,), [str(at) for at in range(n)], names, near, True, columns, "group", "group"))


def plotly(places: np.ndarray, group: np.ndarray) -> str:
    import plotly.graph_objects as go

    colours = [COLOURS[its] for its in group]
    texts = [f"text {at} of group {its}" for at, its in enumerate(group)]
    dots = go.Scattergl(x=places[:, 0], y=places[:, 1], mode="markers", text=texts, marker={"size": 3, "color": colours})
    figure = go.Figure(dots, layout={"dragmode": "pan", "width": 1200, "height": 800})
    return str(figure.to_html(include_plotlyjs=True, config={"scrollZoom": True}))


def bokeh(places: np.ndarray, group: np.ndarray) -> str:
    from bokeh.embed import file_html
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    texts = [f"text {at} of group {its}" for at, its in enumerate(group)]
    source = ColumnDataSource({"x": places[:, 0], "y": places[:, 1], "c": [COLOURS[its] for its in group], "t": texts})
    its = figure(
        width=1200, height=800, output_backend="webgl", tools="pan,wheel_zoom,hover", active_scroll="wheel_zoom", tooltips="@t"
    )
    its.scatter("x", "y", color="c", size=3, source=source)
    return str(file_html(its, INLINE))


PAGES = {"semvec (regl-scatterplot)": own, "plotly, scattergl": plotly, "bokeh, webgl": bokeh}


def frames(browser: Any, path: Path) -> dict[str, list[float]]:
    """Return the milliseconds between frames while the page is dragged, and while it is zoomed."""
    its = browser.new_page(viewport=SIZE)
    its.goto(path.as_uri(), timeout=180_000)
    if "Frames" in its.title():
        its.wait_for_selector("html[data-ready=true]", timeout=120_000)
    its.wait_for_timeout(4000)
    found: dict[str, list[float]] = {}
    its.mouse.move(500, 400)
    its.evaluate(RECORD)
    its.mouse.down()
    for at in range(30):
        its.mouse.move(500 + 4 * (at % 30), 400 + 3 * (at % 20))
        its.wait_for_timeout(16)
    its.mouse.up()
    found["drag"] = its.evaluate(STOP)
    its.evaluate(RECORD)
    for at in range(20):
        its.mouse.wheel(0, -60 if at % 10 < 5 else 60)
        its.wait_for_timeout(16)
    found["zoom"] = its.evaluate(STOP)
    its.close()
    return found


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not needed")
    parser.add_argument("--points", type=int, default=100_000)
    options = parser.parse_args()
    places, group = points(options.points)
    results: dict[str, Any] = {"points": options.points, "pages": {}}
    program = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        results["browser"] = f"Chromium {browser.version}, SwiftShader"
        files: dict[str, Path] = {}
        for name, make in PAGES.items():
            path = Path(folder) / f"{len(files)}.html"
            try:
                path.write_text(make(places, group), encoding="utf-8")
            except ImportError as error:
                print(json.dumps({name: str(error)}))
                continue
            files[name] = path
        seen: dict[str, dict[str, list[float]]] = {name: {"drag": [], "zoom": []} for name in files}
        for _ in range(ROUNDS):
            for name, path in files.items():
                for what, its in frames(browser, path).items():
                    seen[name][what] += its
        browser.close()
        for name, its in seen.items():
            told = {
                f"{what}_{part}_ms": round(float(np.percentile(each, q)), 1)
                for what, each in its.items()
                for part, q in (("median", 50), ("p95", 95), ("longest", 100))
            }
            results["pages"][name] = {"megabytes": round(files[name].stat().st_size / 1e6, 1), **told}
    keep("map_frames", results)


if __name__ == "__main__":
    main()
