"""A map as one page of HTML that opens from the disk: everything is in it, nothing is fetched.

Points are drawn by regl-scatterplot (WebGL), which is in the page too.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError
from semvec.types import JSON, Choice
from semvec.visualise.column import COLOURS, GREY, SCALE, Column
from semvec.visualise.map import Map, View

KINDS = {"float32": "f4", "int32": "i4", "uint32": "u4", "uint8": "u1"}
PARTS = {"style": "page.css", "library": "scatterplot.min.js", "script": "page.js"}
LABELS = 200
"""Names that are written on the map as soon as there is room."""

SHARES = (0.06, 0.12, 0.2, 0.35, 0.5, 0.65, 0.75, 0.8)
"""How strongly a point is drawn that is faded, from all neighbours false to all true."""

MOST_CHARACTERS = 2000
"""Characters of a text that are kept in the page."""


class PageTheme(Choice):
    """What a page is drawn on; auto is what the reader's browser prefers."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


def page(its: Map, *, theme: PageTheme | str = PageTheme.AUTO, fade: bool = False) -> str:
    """Return a page of HTML, complete in itself, that shows a map: pan, zoom, search, colour, neighbours, lasso.

    Texts of over `MOST_CHARACTERS` are cut in it. 100,000 points with texts of 60 characters make about 12 MB.
    """
    if not len(its):
        raise InputError("a map without points")
    packed = base64.b64encode(_packed(its, fade)).decode("ascii")
    web = files("semvec.visualise") / "web"
    parts = {name: (web / file).read_text(encoding="utf-8") for name, file in PARTS.items()}
    frame = (web / "page.html").read_text(encoding="utf-8")
    return Template(frame).substitute(parts, theme=PageTheme(theme), title=escape(its.title), data=packed)


def _packed(its: Map, fade: bool) -> bytes:
    """Return what the page reads: a header in JSON, its length before it, and the arrays that it names, compressed."""
    block = _Block()
    views = [_view(block, view, *_frame(view.points)) for view in its.views]
    columns = [_column(block, column, its.views[0].points) for column in its.columns.values()]
    names = list(its.columns)
    header = {
        "ids": list(its.ids),
        "texts": [text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…" for text in its.texts],
        "views": views,
        "columns": columns,
        "colour": names.index(its.colour) if its.colour else -1,
        "labels": _labels(its),
        "near": {
            "rows": block.add(its.near.rows.astype(np.uint32)),
            "scores": block.add((1 - its.near.distances**2 / 2 if its.cosine else -its.near.distances).astype(np.float32)),
            "k": its.near.rows.shape[1],
        },
        "palette": COLOURS,
        "grey": GREY,
        "scale": SCALE,
        "faded": SHARES,
        "fade": fade,
    }
    told = json.dumps(header, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    told += b" " * (-len(told) % 4)  # arrays begin at multiples of 4
    return gzip.compress(len(told).to_bytes(4, "little") + told + bytes(block), 6, mtime=0)


class _Block:
    """Arrays one after the other; where one begins is counted from the end of the header."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> dict[str, JSON]:
        """Return where ``array`` lies, of what kind it is, and how many numbers it has."""
        told = {"at": self._size, "kind": KINDS[array.dtype.name], "size": int(array.size)}
        part = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        part += b"\0" * (-len(part) % 4)
        self._parts.append(part)
        self._size += len(part)
        return told

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)


def _frame(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return the middle (2,) of ``points``, and what to multiply them by so that they fill the square from -0.95 to 0.95."""
    least, most = points.min(axis=0), points.max(axis=0)
    return (least + most) / 2, float(1.9 / max(float((most - least).max()), 1e-12))


def _view(block: _Block, view: View, middle: NDArray[np.float32], scale: float) -> dict[str, JSON]:
    x, y = ((view.points - middle) * scale).astype(np.float32).T
    truth = np.round(view.honesty.true * 255).astype(np.uint8)
    return {
        "name": view.name,
        "about": "; ".join(filter(None, (f"{view.about}: {view.honesty}", view.caution))),
        "x": block.add(x),
        "y": block.add(y),
        "truth": block.add(truth),
    }


def _column(block: _Block, column: Column, points: NDArray[np.float32]) -> dict[str, JSON]:
    if column.numbers is not None:
        least, most = float(np.nanmin(column.numbers)), float(np.nanmax(column.numbers))
        part = ((column.numbers - least) / ((most - least) or 1.0)).astype(np.float32)
        shown = [None if np.isnan(its) else int(its) if its == int(its) else its for its in column.numbers.tolist()]
        return {"name": column.name, "data": block.add(part), "shown": shown, "least": least, "most": most}
    values = [(*value, colour) for value, colour in zip(column.values, column.colours(points), strict=True)]
    return {"name": column.name, "data": block.add(column.codes), "values": values, "others": column.others}


def _labels(its: Map) -> list[tuple[str, list[int]]]:
    """Return the names on the map and, for each view, the point that stands nearest to the middle of theirs."""
    each = [its.labels(view, LABELS) for view in its.views]
    places = [_nearest(view.points, [(x, y) for _, x, y in labels]) for view, labels in zip(its.views, each, strict=True)]
    return [(labels[0], [rows[at] for rows in places]) for at, labels in enumerate(each[0])] if each else []


def _nearest(points: NDArray[np.float32], places: Sequence[tuple[float, float]]) -> list[int]:
    return [int(((points - np.array(place, dtype=np.float32)) ** 2).sum(axis=1).argmin()) for place in places]
