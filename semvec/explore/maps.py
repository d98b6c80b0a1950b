"""Points → a map that can be drawn, and the projection that others can be put on later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from semvec.errors import InputError
from semvec.explore.clusters import Clusters, Grouping, clusters
from semvec.explore.points import Points, check_column
from semvec.text.words import Splitter
from semvec.types import Metric, Progress
from semvec.visualise.align import onto
from semvec.visualise.column import Column
from semvec.visualise.honesty import WIDE, K, honesty
from semvec.visualise.map import Map, View
from semvec.visualise.near import Near, comparable, near
from semvec.visualise.options import MapOptions, Method
from semvec.visualise.projection import LEAST, Projection

CLUSTER = "cluster"
"""The column of the groups that were made; where there is one of that name already, ours has an underscore more."""

MANY, DRAFT = 20_000, 5_000
"""From so many points on a first picture is made, by PCA, of so many of them."""


@dataclass(frozen=True)
class MapPlan:
    """How points become a map.

    ``colour`` is a column's name (none: of the groups). ``groups`` is how many are made and named (none: by the number of
    points, 0: none are), ``splitter`` what finds the words of their names. ``projection`` is a map that was made before, to put
    the points on.
    """

    options: MapOptions = field(default_factory=MapOptions)
    colour: str | None = None
    grouping: Grouping = Grouping.KMEANS
    groups: int | None = None
    projection: Projection | None = None
    splitter: Splitter | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """A map, the projection it lies on (of its first view), the groups if they were made, and the points that are on it."""

    map: Map
    projection: Projection
    clusters: Clusters | None
    points: Points


def make_map(
    points: Points,
    plan: MapPlan | None = None,
    *,
    title: str = "Map",
    name: str = "",
    beside: tuple[str, Points] | None = None,
    progress: Progress | None = None,
) -> Made:
    """Return the map of ``points``: the same for the same seed.

    ``beside`` (a name, points) gives a second view of the points that have the same ids, turned so that it comes nearest to the
    first one (Procrustes). Raises `OptionError` for a colour that is no column, `FingerprintMismatch` for points of another
    encoder than the plan's projection.
    """
    plan = plan or MapPlan()
    _check_colour(points, plan)
    if beside is not None:
        points, other = _shared(points, beside[1])
        beside = beside[0], other
    elif len(points) < LEAST and plan.projection is None:
        raise InputError(f"{len(points):,} points are too few for a map: {LEAST} are the least")
    options = plan.options if plan.projection is None else plan.projection.options
    known = _near(points, options, progress)
    made, column = _clusters(points, plan, known, progress), own_column(points)
    projection, places = _first(points, plan, known, progress)
    views = [_view(name or "first", points, places, known, projection.options)]
    if beside is not None:
        views.append(_second(*beside, places, plan.options, progress))
    given = {**points.columns, **({column: made.names()} if made is not None else {})}
    columns = {name: Column.of(name, values) for name, values in given.items()}
    colour = plan.colour or (column if made is not None else None)
    named = colour if colour is None or columns[colour].numbers is None else column if made is not None else None
    drawn = Map(
        title, tuple(views), points.ids, points.texts, known.first(K), points.metric != Metric.EUCLIDEAN, columns, colour, named
    )
    return Made(drawn, projection, made, points)


def draft(points: Points, plan: MapPlan, title: str) -> Map | None:
    """Return a first picture of many points, made within seconds: a sample of them by PCA; None where there are few."""
    if len(points) < MANY or plan.projection is not None or plan.options.method == Method.PCA:
        return None
    first = replace(
        plan, options=replace(plan.options, method=Method.PCA), groups=min(plan.groups, DRAFT) if plan.groups else plan.groups
    )
    return make_map(
        points.drawn(DRAFT, plan.options.seed), first, title=f"{title} (a first picture, {DRAFT:,} of {len(points):,} points)"
    ).map


def _check_colour(points: Points, plan: MapPlan) -> None:
    check_column(plan.colour, list(points.columns), [own_column(points)] if plan.groups != 0 else [])


def _shared(points: Points, others: Points) -> tuple[Points, Points]:
    place = {name: at for at, name in enumerate(others.ids)}
    rows = [at for at, name in enumerate(points.ids) if name in place]
    if len(rows) < LEAST:
        raise InputError(f"only {len(rows)} ids are in both: two views are of the same points")
    return points.at(rows), others.at([place[points.ids[at]] for at in rows])


def own_column(points: Points) -> str:
    """Return the name of the column of the groups that are made of ``points``."""
    name = CLUSTER
    while name in points.columns:
        name += "_"
    return name


def _clusters(points: Points, plan: MapPlan, known: Near, progress: Progress | None) -> Clusters | None:
    if plan.groups == 0:
        return None
    count = plan.groups if plan.grouping == Grouping.KMEANS else None
    return clusters(
        points, plan.grouping, count=count, seed=plan.options.seed, known=known, splitter=plan.splitter, progress=progress
    )


def _near(points: Points, options: MapOptions, progress: Progress | None) -> Near:
    most = max(len(points) - 1, 1)
    return near(comparable(points.vectors, points.metric), min(max(WIDE * K, options.wants), most), progress)


def _first(points: Points, plan: MapPlan, known: Near, progress: Progress | None) -> tuple[Projection, NDArray[np.float32]]:
    if plan.projection is not None:
        found = plan.projection.transform(points.vectors, ids=points.ids, fingerprint=points.fingerprint, progress=progress)
        return plan.projection, found
    made = Projection.fit(
        points.vectors,
        plan.options,
        metric=points.metric,
        fingerprint=points.fingerprint,
        ids=points.ids,
        known=known,
        progress=progress,
    )
    return made, made.points


def _second(name: str, points: Points, places: NDArray[np.float32], options: MapOptions, progress: Progress | None) -> View:
    known = _near(points, options, progress)
    start = None if options.method == Method.PCA else places
    made = Projection.fit(points.vectors, options, metric=points.metric, known=known, start=start, progress=progress)
    return _view(name, points, onto(made.points, places), known, made.options)


def _view(name: str, points: Points, places: NDArray[np.float32], known: Near, options: MapOptions) -> View:
    unit = comparable(points.vectors, points.metric)
    return View(name, places, honesty(unit, places, known, seed=options.seed), about(options))


ABOUT: dict[Method, Callable[[MapOptions], str]] = {
    Method.PCA: lambda its: "PCA",
    Method.UMAP: lambda its: f"UMAP, {its.neighbours} neighbours, least distance {its.min_dist:g}, seed {its.seed}",
    Method.TSNE: lambda its: f"t-SNE, perplexity {its.perplexity:g}, seed {its.seed}",
    Method.PACMAP: lambda its: f"PaCMAP, {its.neighbours} neighbours, seed {its.seed}",
}


def about(options: MapOptions) -> str:
    """Return in words how a map was made."""
    return ABOUT[options.method](options)
