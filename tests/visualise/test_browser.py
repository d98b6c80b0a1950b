"""The page in a real browser, headless: it draws, searches, hovers, clicks, lassoes, and the console stays empty."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.visualise.page import page
from tests.visualise.test_drawn import a_map

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="a browser is needed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
        its = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield its
        its.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The page of a map, opened from the disk, without any network."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, offline=True, accept_downloads=True)
    its, said = context.new_page(), []
    its.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    its.on("pageerror", lambda error: said.append(str(error)))
    its.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "blob:", "data:")) else None
    )
    texts = [f"text {at} {'needle' if at % 40 == 7 else 'hay'} <i>" for at in range(200)]
    drawn = a_map(views=2, texts=texts)
    (tmp_path / "map.html").write_text(page(drawn), encoding="utf-8")
    its.goto((tmp_path / "map.html").as_uri())
    its.wait_for_selector("html[data-ready=true]", timeout=60_000)
    its.drawn = drawn
    yield its
    its.wait_for_timeout(100)
    assert [line for line in said if "GPU stall" not in line and "GL Driver" not in line] == []
    context.close()


def colours(its: Any) -> set[tuple[int, ...]]:
    from io import BytesIO

    from PIL import Image

    seen = np.asarray(Image.open(BytesIO(its.locator("#map").screenshot())).convert("RGB")).reshape(-1, 3)
    return {tuple(row) for row in (seen // 32).tolist()}


def place_of(its: Any, row: int) -> tuple[float, float]:
    """Where a point stands on the screen, by the map's own numbers: the square from -1 to 1 is as high as the map."""
    box = its.locator("#map").bounding_box()
    points = its.drawn.views[0].points
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    x, y = (points[row] - middle) * 1.9 / np.ptp(points, axis=0).max()
    half = min(box["height"], box["width"]) / 2
    return float(box["x"] + box["width"] / 2 + x * half), float(box["y"] + box["height"] / 2 - y * half)


def alone(its: Any) -> int:
    """The row that stands farthest from all others."""
    from scipy.spatial import cKDTree

    points = its.drawn.views[0].points
    return int(cKDTree(points).query(points, 2)[0][:, 1].argmax())


def test_it_draws_in_the_colours_of_the_groups(opened: Any) -> None:
    assert opened.locator("#wait").count() == 0
    assert "200 points" in opened.locator("#said").inner_text()
    assert len(colours(opened)) > 5
    assert "trustworthiness" in opened.locator("#about").inner_text()
    assert opened.locator("#legend li").count() == 5
    opened.select_option("#colour", label="weight")
    assert opened.locator("#legend .scale").count() == 1


def test_the_search_finds_and_steps(opened: Any) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("NEEDLE")
    opened.wait_for_function("document.getElementById('said').textContent.includes('of 200')")
    assert opened.locator("#said").inner_text() == "5 of 200 points have “needle”"
    assert opened.locator("#found li").count() == 5
    opened.keyboard.press("Enter")
    assert opened.locator("#chosen h2").first.inner_text() == "id 7"
    opened.locator("#map").focus()
    opened.keyboard.press("n")
    assert opened.locator("#chosen h2").first.inner_text() == "id 47"
    opened.keyboard.press("p")
    assert opened.locator("#chosen .text").inner_text() == "text 7 needle <i>"
    opened.keyboard.press("Escape")
    assert opened.locator("#chosen").is_hidden()


def test_hovering_shows_the_text(opened: Any) -> None:
    row = alone(opened)
    opened.mouse.move(*place_of(opened, row))
    opened.wait_for_selector("#tip:not([hidden])", timeout=5000)
    assert f"text {row} " in opened.locator("#tip").inner_text()


def test_a_click_shows_the_true_neighbours(opened: Any) -> None:
    row = alone(opened)
    opened.mouse.click(*place_of(opened, row))
    opened.wait_for_selector("#chosen:not([hidden])", timeout=5000)
    assert opened.locator("#chosen h2").first.inner_text() == f"id {row}"
    near = [f"text {at} " for at in opened.drawn.near.rows[row]]
    listed = opened.locator("#chosen li").all_inner_texts()
    assert all(text in line for text, line in zip(near, listed, strict=True))
    opened.locator("#chosen li button").first.click()
    assert opened.locator("#chosen h2").first.inner_text() == f"id {opened.drawn.near.rows[row][0]}"


def test_the_lasso_gives_ids(opened: Any, tmp_path: Path) -> None:
    opened.click("#lasso")
    box = opened.locator("#map").bounding_box()
    edges = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)]
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in edges]
    opened.mouse.move(*spots[0])
    opened.mouse.down()
    for spot in spots[1:]:
        opened.mouse.move(*spot, steps=12)
        opened.wait_for_timeout(40)
    opened.mouse.up()
    opened.wait_for_selector("#found:not([hidden])", timeout=5000)
    assert "200 points" in opened.locator("#found h2").inner_text()
    with opened.expect_download() as told:
        opened.get_by_text("Save ids").click()
    assert Path(told.value.path()).read_text().splitlines() == list(opened.drawn.ids)


def test_keys_move_and_a_legend_chooses(opened: Any) -> None:
    before = opened.locator("#map").screenshot()
    opened.locator("#map").focus()
    for key in ("+", "+", "ArrowLeft"):
        opened.keyboard.press(key)
    opened.wait_for_timeout(200)
    assert opened.locator("#map").screenshot() != before
    opened.keyboard.press("0")
    opened.locator("#legend button").first.click()
    name, count = opened.drawn.columns["group"].values[0]
    assert opened.locator("#found h2").inner_text() == f"{count} points: {name}"
    opened.select_option("#view", label="view 1")
    assert "seed 1" in opened.locator("#about").inner_text()
    opened.check("#fade")


def test_names_stand_on_the_map(opened: Any) -> None:
    opened.wait_for_timeout(200)
    shown = opened.locator("#labels span:not([hidden])")
    boxes = [shown.nth(at).bounding_box() for at in range(shown.count())]
    assert 2 <= len(boxes) <= 5
    assert not any(
        one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
        and one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"]
        for at, one in enumerate(boxes) for other in boxes[:at]
    )  # fmt: skip
