"""What is told of a map, and what is drawn of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from semvec.embeddings.transforms import normalize
from semvec.errors import LettersMissing, OptionError
from semvec.visualise.column import COLOURS, Column
from semvec.visualise.draw import draw
from semvec.visualise.honesty import honesty
from semvec.visualise.map import Map, View
from semvec.visualise.near import near
from semvec.visualise.options import MapOptions, Method
from semvec.visualise.page import page
from semvec.visualise.projection import Projection
from tests.visualise.clouds import clouds


def a_map(points: int = 200, views: int = 1, colour: str | None = "group", texts: list[str] | None = None) -> Map:
    vectors, groups = clouds(points)
    unit = normalize(vectors)
    known = near(unit, 50)
    made = [Projection.fit(vectors, MapOptions(Method.UMAP, seed=at)).points for at in range(views)]
    columns = {
        "group": Column.of("group", [f"group {at}" for at in groups]),
        "weight": Column.of("weight", [None, *np.linspace(0, 1, points - 1).tolist()]),
    }
    seen = tuple(View(f"view {at}", its, honesty(unit, its, known), f"UMAP, seed {at}") for at, its in enumerate(made))
    texts = texts or [f"text {at} <b>&" for at in range(points)]
    return Map("A <map>", seen, [f"id {at}" for at in range(points)], texts, known.first(10), True, columns, colour, "group")


def test_honesty_is_scikit_learns() -> None:
    vectors = normalize(clouds()[0])
    points = Projection.fit(vectors).points
    found = honesty(vectors, points, near(vectors, 50))
    assert found.trustworthiness.mean == pytest.approx(
        trustworthiness(vectors, points, n_neighbors=10, metric="cosine"), abs=1e-6
    )
    assert found.continuity.mean == pytest.approx(trustworthiness(points, vectors, n_neighbors=10), abs=1e-3)
    true = NearestNeighbors(n_neighbors=50).fit(vectors).kneighbors(return_distance=False)
    mapped = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(return_distance=False)
    assert found.overlap.mean == pytest.approx(
        np.mean([len(set(a) & set(b[:10])) / 10 for a, b in zip(mapped, true, strict=True)])
    )
    assert found.true == pytest.approx([len(set(a) & set(b)) / 10 for a, b in zip(mapped, true, strict=True)])
    perfect = honesty(normalize(points), normalize(points), near(normalize(points), 50))
    assert perfect.true.min() > 0.9


def test_many_points_are_sampled_and_the_interval_holds() -> None:
    vectors = normalize(clouds(2600)[0])
    points = Projection.fit(vectors, MapOptions(Method.PCA)).points
    found = honesty(vectors, points, near(vectors, 50)).trustworthiness
    assert 0 < found.half < 0.02
    assert abs(found.mean - trustworthiness(vectors, points, n_neighbors=10, metric="cosine")) < 2 * found.half


def test_columns_are_names_or_numbers() -> None:
    its = Column.of("a", ["x", "y", None, "y", " z \n z"])
    assert its.values == (("y", 2), ("x", 1), ("z z", 1))
    assert its.codes.tolist() == [1, 0, -1, 0, 2]
    numbers = Column.of("a", [*range(20), None])
    assert numbers.numbers is not None
    assert np.isnan(numbers.numbers[-1])
    assert Column.of("a", [1, 2, 3, 1]).values == (("1", 2), ("2", 1), ("3", 1))
    assert Column.of("a", [True, False]).numbers is None
    assert Column.of("a", [10**400, *range(20)]).numbers is None
    assert Column.of("a", [None, None]).values == ()
    many = Column.of("a", [f"v{at:04}" for at in range(5000)])
    assert (len(many.values), many.others, int((many.codes < 0).sum())) == (200, 4800, 4800)


def test_neighbouring_names_have_different_colours() -> None:
    rng = np.random.default_rng(0)
    points = np.repeat(np.stack([np.arange(40) % 8, np.arange(40) // 8], axis=1), 5, axis=0) + rng.normal(
        scale=0.01, size=(200, 2)
    )
    given = Column.of("a", [f"{at // 5:02}" for at in range(200)]).colours(points.astype(np.float32))
    grid = np.array(given).reshape(5, 8)
    assert set(given) == set(range(len(COLOURS)))
    assert (grid[:, 1:] != grid[:, :-1]).all()
    assert (grid[1:] != grid[:-1]).all()


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_pictures_are_the_same_bytes_again(form: str) -> None:
    its = a_map(views=2)
    made = draw(its, form, theme="dark", fade=True)
    assert made == draw(its, form, theme="dark", fade=True)
    assert made[:4] == {"png": b"\x89PNG", "svg": b"<?xm", "pdf": b"%PDF"}[form]
    if form == "svg":
        assert b"<image" not in made
    if form == "png":
        ground = np.asarray(Image.open(io.BytesIO(made)).convert("RGB"))[5, 5]
        assert ground.tolist() == [0x16, 0x18, 0x1D]


def test_the_colours_of_a_picture_are_those_of_the_groups() -> None:
    its = a_map(colour="group")
    seen = np.asarray(Image.open(io.BytesIO(draw(its, "png"))).convert("RGB")).reshape(-1, 3)
    for colour in COLOURS[:5]:
        goal = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        assert (np.abs(seen.astype(int) - goal).sum(axis=1) == 0).sum() > 20  # the legend's dots at least
    plain = draw(a_map(colour=None), "png")
    assert plain != draw(its, "png")
    assert draw(a_map(colour="weight"), "png")[:4] == b"\x89PNG"
    odd = replace(its, title="$\\frac{a$ \x1b[31m", columns={**its.columns, "group": Column.of("group", ["$x^$ \x07"] * 200)})
    for form in ("png", "svg"):
        made = draw(odd, form)
    ElementTree.fromstring(made)
    with pytest.warns(LettersMissing, match="no font here has"):
        draw(replace(its, title="\U0001f9ff\U00012345"), "png")
    with pytest.raises(OptionError, match="png, svg, pdf"):
        draw(its, "gif")
    with pytest.raises(OptionError, match="did you mean 'dark'"):
        draw(its, theme="drak")


def test_names_on_a_picture_do_not_cover_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from semvec.visualise import draw as module

    boxes: list[Any] = []
    write = module._write

    def seen(axes: Any, names: Any, paper: Any) -> None:
        write(axes, names, paper)
        boxes.extend(text.get_window_extent() for text in axes.texts)

    monkeypatch.setattr(module, "_write", seen)
    its = a_map()
    crowd = Map(
        **{**its.__dict__, "columns": {"group": Column.of("group", [f"a rather long name {at // 4}" for at in range(200)])}}
    )
    draw(crowd, "png")
    assert len(boxes) > 10
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])


def unpacked(html: str) -> tuple[dict[str, Any], Any]:
    data = re.search(r'<script id="data"[^>]*>([^<]*)</script>', html)
    assert data is not None
    whole = gzip.decompress(base64.b64decode(data[1]))
    length = int.from_bytes(whole[:4], "little")
    header = json.loads(whole[4 : 4 + length])
    kinds = {"f4": "<f4", "i4": "<i4", "u4": "<u4", "u1": "<u1"}
    return header, lambda its: np.frombuffer(whole, kinds[its["kind"]], its["size"], 4 + length + its["at"])


def test_a_page_holds_the_map() -> None:
    its = a_map(views=2, texts=["</script><script>alert(1)</script>"] * 200)
    html = page(its, theme="dark")
    assert html == page(its, theme="dark")
    assert html.count("</script>") == 3
    assert "<h1>A &lt;map&gt;</h1>" in html
    assert "alert(1)" not in html
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", html)
    header, array = unpacked(html)
    assert header["ids"] == list(its.ids)
    assert header["texts"] == list(its.texts)
    assert array(header["near"]["rows"]).reshape(200, 10).tolist() == its.near.rows.tolist()
    unit = normalize(clouds()[0])
    assert array(header["near"]["scores"]).reshape(200, 10)[3] == pytest.approx(unit[its.near.rows[3]] @ unit[3], abs=1e-5)
    for view, told in zip(its.views, header["views"], strict=True):
        x, y = array(told["x"]), array(told["y"])
        wide = np.ptp(view.points, axis=0).max()
        assert np.ptp(x) == pytest.approx(np.ptp(view.points[:, 0]) / wide * 1.9, rel=1e-4)
        assert np.abs([x, y]).max() <= 0.9501
        assert array(told["truth"]) / 255 == pytest.approx(view.honesty.true, abs=0.002)
    group, weight = header["columns"]
    assert [name for name, _, _ in group["values"]] == [name for name, _ in its.columns["group"].values]
    assert np.isnan(array(weight["data"])[0])
    assert weight["shown"][0] is None
    assert weight["shown"][-1] == 1
    assert (weight["least"], weight["most"]) == (0, 1)
    assert header["colour"] == 0
    for name, rows in header["labels"]:
        assert group["values"][array(group["data"])[rows[0]]][0] == name  # the point a name stands at is of its group
