"""A map on paper: PNG, SVG or PDF, by matplotlib."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import MissingExtra, OptionError
from semvec.types import Choice
from semvec.visualise.column import COLOURS, GREY, SCALE, Column
from semvec.visualise.fonts import fonts_here, letters_told
from semvec.visualise.map import MOSTLY, Map, View

FORMATS = ("png", "svg", "pdf")
LABELS, LEGEND, SHORT = 60, 20, 40
"""Names written on a map, values in its legend, and characters of either."""

VECTORS = 20_000
"""From so many points on those of an SVG or a PDF become one picture in it."""


class Theme(Choice):
    """What a picture is drawn on."""

    LIGHT = "light"
    DARK = "dark"


PAPER = {Theme.LIGHT: ("#FFFFFF", "#202124"), Theme.DARK: ("#16181D", "#E8EAED")}
"""Ground and ink."""


def draw(
    its: Map, form: str = "png", *, theme: Theme | str = Theme.LIGHT, size: float = 8.0, dpi: int = 200, fade: bool = False
) -> bytes:
    """Return the picture of a map, its views side by side, each ``size`` inches wide: the same bytes for the same map.

    Points are coloured by the map's column, names stand on it where they do not cover each other, and what is true of it stands
    below. ``fade`` makes points pale most of whose neighbours on the map are false. Raises `MissingExtra` without matplotlib.
    """
    if form not in FORMATS:
        raise OptionError(f"a picture is {', '.join(FORMATS)}, not {form!r}")
    ground, ink = PAPER[Theme(theme)]
    check_able()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings = {
        "font.family": fonts_here(),
        "svg.hashsalt": "semvec",
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": ink,
        "ytick.color": ink,
        "pdf.fonttype": 42,
        "text.parse_math": False,
    }
    with rc_context(settings), letters_told():
        figure = Figure(
            figsize=(size * len(its.views) + 2.2 * (its.colour is not None), size), facecolor=ground, layout="constrained"
        )
        for axes, view in zip(np.atleast_1d(figure.subplots(1, len(its.views))), its.views, strict=True):
            _view(figure, axes, its, view, (ground, ink), size, fade=fade, raster=len(its) > VECTORS and form != "png")
        figure.suptitle(_short(its.title, 120), color=ink, fontsize=13)
        made = io.BytesIO()
        about = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
        figure.savefig(made, format=form, dpi=dpi, metadata=about, facecolor=ground)
    return made.getvalue()


def check_able() -> None:
    """Raise `MissingExtra` where the libraries that draw are not installed."""
    if any(find_spec(name) is None for name in ("matplotlib", "adjustText")):
        raise MissingExtra("pictures are drawn by matplotlib and adjustText: pip install 'semvec[maps]'")


def _view(figure: Any, axes: Any, its: Map, view: View, paper: tuple[str, str], size: float, *, fade: bool, raster: bool) -> None:
    ground, ink = paper
    axes.set(facecolor=ground, xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    axes.spines[:].set_visible(False)
    column = None if its.colour is None else its.columns[its.colour]
    alpha = np.where(view.honesty.true < MOSTLY, 0.15, 0.8) if fade else np.full(len(its), 0.8)
    order = np.random.default_rng(0).permutation(len(its))  # no group lies on top of another because it comes later
    dots = {"s": float(np.clip(size**2 * 600 / len(its), 0.8, 40)), "linewidths": 0, "alpha": alpha[order], "rasterized": raster}
    x, y = view.points[order].T
    if column is not None and column.numbers is not None:
        from matplotlib.colors import LinearSegmentedColormap

        scale = LinearSegmentedColormap.from_list("viridis", SCALE)
        numbers = column.numbers[order]
        none = np.isnan(numbers)
        for some, its_colours in ((none, {"color": GREY}), (~none, {"c": numbers[~none], "cmap": scale})):
            drawn = axes.scatter(x[some], y[some], **{**dots, "alpha": alpha[order][some]}, **its_colours)
        label = _short(column.name) + (f" (grey: no value, {none.sum():,})" if none.any() else "")
        figure.colorbar(drawn, ax=axes, shrink=0.6, label=label).solids.set(alpha=1)
    else:
        axes.scatter(x, y, c=np.array(_of_points(column, view.points))[order], **dots)
    axes.set_xlabel(
        f"{view.name + ': ' if len(its.views) > 1 else ''}{view.about}\n{view.honesty}\n{view.caution}", fontsize=7, color=ink
    )
    if column is not None and column.numbers is None and view is its.views[-1]:
        _legend(axes, column, view.points, ink)
    if names := its.labels(view, LABELS):
        figure.draw_without_rendering()
        _write(axes, names, paper)


def _of_points(column: Column | None, points: NDArray[np.float32]) -> list[str]:
    if column is None:
        return [COLOURS[0]] * len(points)
    given = [*(COLOURS[at] for at in column.colours(points)), GREY]
    return [given[code] for code in column.codes.tolist()]


def _legend(axes: Any, column: Column, points: NDArray[np.float32], ink: str) -> None:
    from matplotlib.lines import Line2D

    def entry(colour: str, name: str) -> Any:
        return Line2D([], [], marker="o", linestyle="", markersize=5, color=colour, label=name)

    shown = column.values[:LEGEND]
    entries = [
        entry(COLOURS[at], f"{_short(name)} ({count:,})")
        for at, (name, count) in zip(column.colours(points), shown, strict=False)
    ]
    more = len(column.values) - len(shown) + column.others
    if (rest := int((column.codes < 0).sum())) and not more:
        entries.append(entry(GREY, f"no value ({rest:,})"))
    if more:
        entries.append(Line2D([], [], linestyle="", label=f"and {more:,} more values"))
    title = _short(column.name) + ("\n(grey: rare or none)" if rest and more else "")
    title += "\n(values far apart share colours)" if len(column.values) > len(COLOURS) else ""
    its = axes.legend(
        handles=entries, title=title, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7, title_fontsize=8
    )
    for text in (*its.get_texts(), its.get_title()):
        text.set_color(ink)


def _write(axes: Any, names: list[tuple[str, float, float]], paper: tuple[str, str]) -> None:
    """Write names on the map, moved until none covers another; what finds no room is left out, the rarest first."""
    from adjustText import adjust_text
    from matplotlib.patheffects import withStroke

    ground, ink = paper
    halo = [withStroke(linewidth=2, foreground=ground)]
    written = [
        axes.text(x, y, _short(name), fontsize=6.5, color=ink, ha="center", va="center", path_effects=halo)
        for name, x, y in names
    ]
    adjust_text(written, ax=axes, expand=(1.05, 1.2), ensure_inside_axes=True, time_lim=None, iter_lim=300, avoid_self=False)
    kept: list[Any] = []
    for text in written:
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            text.remove()
        else:
            kept.append(box)


def _short(name: str, most: int = SHORT) -> str:
    plain = "".join(its if its.isprintable() else "�" for its in name)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
