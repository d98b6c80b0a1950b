"""Pictures of a training: its loss and its measure, what settings came to, who was taken for whom."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.errors import MissingExtra
from semvec.visualise.fonts import fonts_here, letters_told

SIZE, DPI = (7.0, 4.0), 150
MANY = 40
"""Classes from which on their names do not fit on a picture, and those are shown that are confused most."""

WRITTEN = 20
"""Classes up to which numbers stand in the cells."""

ShownLosses = Sequence[tuple[float, float]]


def training_curve(losses: ShownLosses, looks: Mapping[str, ShownLosses], best: float | None) -> bytes:
    """Return a PNG of ``losses`` (epoch, loss) and of every measure in ``looks`` (epoch, value); ``best`` is the epoch kept.

    Raises `MissingExtra` without matplotlib.
    """
    figure, axis = _figure(SIZE)
    axis.plot(*zip(*losses, strict=True), color="#9AA0A6", linewidth=1.2, label="training loss") if losses else None
    axis.set_xlabel("epoch")
    axis.set_ylabel("training loss")
    axis.set_ylim(bottom=0)
    other = axis.twinx()
    for (name, points), colour in zip(looks.items(), ("#1A73E8", "#E8710A", "#188038", "#A142F4"), strict=False):
        other.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=f"{name} (validation)")
    other.set_ylabel("measure")
    if best is not None:
        other.axvline(best, color="#202124", linestyle=":", linewidth=1, label="kept")
    lines = [*axis.get_lines(), *other.get_lines()]
    names = [line.get_label() for line in lines]
    axis.legend(lines, names, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3, frameon=False)
    for side in (axis, other):
        side.spines["top"].set_visible(False)
    return _png(figure)


def trials_picture(values: Sequence[float], options: Mapping[str, Sequence[Any]], measure: str, best: int) -> bytes:
    """Return a PNG of what each trial came to (``values``), in their order and by each of its ``options``.

    ``best`` is the place of the one that was kept. Rates, which lie orders of magnitude apart, are drawn on a logarithmic
    axis. Raises `MissingExtra` without matplotlib.
    """
    panels: dict[str, Sequence[Any]] = {"trial": range(1, len(values) + 1), **options}
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure, axes = _figure((3.0 * across, 2.5 * down), down, across)
    flat = np.atleast_1d(axes).ravel()
    for axis, (name, where) in zip(flat, panels.items(), strict=False):
        numbers = np.array(where, dtype=float)
        axis.scatter(numbers, values, s=16, color="#1A73E8", alpha=0.7)
        axis.scatter(numbers[best], values[best], s=70, facecolors="none", edgecolors="#E8710A", linewidths=1.6)
        axis.set_xlabel(name.replace("_", " "))
        if (numbers > 0).all() and numbers.max() > 9 * numbers.min() and name.endswith("rate"):
            axis.set_xscale("log")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in flat[len(panels) :]:
        axis.set_visible(False)
    for row in range(down):
        flat[row * across].set_ylabel(measure)
    return _png(figure)


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Return a PNG of how often each class (a row) was taken for which (a column), as shares of the row.

    Of more than 40 classes those are shown that are confused most. Raises `MissingExtra` without matplotlib.
    """
    shown = _most_confused(confusion)
    counts = confusion[np.ix_(shown, shown)]
    shares = counts / np.maximum(confusion.sum(axis=1)[shown, None], 1)
    n = len(shown)
    side = max(4.0, 0.32 * n + 2.0)
    figure, axis = _figure((side + 1, side))
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(str(classes[at])) for at in shown]
    axis.set_xticks(range(n), names, rotation=90, fontsize=7)
    axis.set_yticks(range(n), names, fontsize=7)
    axis.set_xlabel("said" if n == len(classes) else f"said ({n} of {len(classes)} classes, those confused most)")
    axis.set_ylabel("gold")
    if n <= WRITTEN:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "#202124"
                axis.text(column, row, f"{count:,}", ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(image, ax=axis, shrink=0.7, label="share of the row")
    return _png(figure)


def routing_picture(
    taken: Sequence[int], tokens: int, words: Sequence[str], shares: Sequence[Sequence[float]], chooser: str
) -> bytes:
    """Return a PNG of how often each ``chooser`` took each of ``words``: ``shares`` (choosers, words) of the times that it came.

    Beside each stands how many of all ``tokens`` it has ``taken``. Raises `MissingExtra` without matplotlib.
    """
    n, across = len(taken), max(1, len(words))
    figure, axis = _figure((max(4.0, 0.32 * across + 2.5), max(2.2, 0.42 * n + 1.6)))
    table = np.array(shares, dtype=np.float64).reshape(n, -1) if len(words) else np.zeros((n, 1))
    image = axis.imshow(table, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axis.set_yticks(range(n), [f"{chooser} {at + 1}: {count / max(tokens, 1):.0%} of all" for at, count in enumerate(taken)])
    axis.set_xticks(range(len(words)), [_short(word) for word in words], rotation=90, fontsize=7)
    figure.colorbar(image, ax=axis, label="share of its times taken", format=lambda share, _: f"{share:.0%}")
    return _png(figure)


def accuracies_picture(accuracies: NDArray[np.float64], tasks: Sequence[str], title: str) -> bytes:
    """Return a PNG of how many answers were right on every one of ``tasks`` (a column) after every one (a row).

    NaN cells are left white. Raises `MissingExtra` without matplotlib.
    """
    n = len(tasks)
    side = max(3.2, 0.6 * n + 1.6)
    figure, axis = _figure((side + 1, side))
    image = axis.imshow(100 * accuracies, cmap="Blues", vmin=0, vmax=100)
    names = [_short(name) for name in tasks]
    axis.set_xticks(range(n), names, rotation=45, ha="right", fontsize=7)
    axis.set_yticks(range(n), [f"after {name}" for name in names], fontsize=7)
    axis.set_title(_short(title), fontsize=9)
    if n <= WRITTEN:
        for (row, column), share in np.ndenumerate(accuracies):
            if not np.isnan(share):
                ink = "white" if share > 0.5 else "#202124"
                axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(image, ax=axis, shrink=0.7, label="right (%)")
    return _png(figure)


def _most_confused(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(confusion) <= MANY:
        return np.arange(len(confusion))
    wrong = confusion - np.diag(np.diag(confusion))
    return np.sort(np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:MANY])


def _short(name: str) -> str:
    """Return ``name`` so that it fits, with nothing in it that matplotlib would set as a formula."""
    return (name if len(name) <= 24 else f"{name[:23]}…").replace("$", r"\$")


def _figure(size: tuple[float, float], down: int = 1, across: int = 1) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(f"pictures need the library matplotlib ({error}): pip install 'semvec[maps]'") from error
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, figure.subplots(down, across)


def _png(figure: Any) -> bytes:
    from matplotlib.text import Text

    stream, fonts = io.BytesIO(), fonts_here()
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts)
    with letters_told():
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
