"""The pictures in a model's folder."""

from __future__ import annotations

from pathlib import Path

from semvec.errors import MissingExtra
from semvec.finetune.task import Findings
from semvec.types import JSON
from semvec.visualise.curves import confusion_picture, training_curve, trials_picture

CURVE, TRIALS, CONFUSION = "training.png", "search.png", "confusion.png"


def draw_pictures(folder: Path, record: JSON, found: Findings) -> None:
    """Write the pictures of a training into ``folder``; none where matplotlib is not installed."""
    try:
        (folder / CURVE).write_bytes(curve_of(record))
        if record.get("search"):
            (folder / TRIALS).write_bytes(trials_of(record))
        if found.confusion is not None:
            (folder / CONFUSION).write_bytes(confusion_picture(found.confusion, found.classes))
    except MissingExtra:
        return


def curve_of(record: JSON) -> bytes:
    """Return the picture of the history in ``record``."""
    history, measure = record["history"], record["measure"]
    losses = [(its["epoch"], its["loss"]) for its in history["losses"]]
    looks = {name: [(its["epoch"], its[name]) for its in history["looks"]] for name in _names(history["looks"], measure)}
    best = next((its["epoch"] for its in history["looks"] if its["step"] == history["best_step"]), None)
    return training_curve(losses, looks, best)


def trials_of(record: JSON) -> bytes:
    """Return the picture of the settings that were tried for ``record``; those given up are left out."""
    its = record["search"]
    done = [trial for trial in its["trials"] if trial["value"] is not None and not trial["given up"]]
    options = {name: [trial[name] for trial in done] for name in its["options"]}
    best = next(at for at, trial in enumerate(done) if trial["trial"] == its["best"])
    return trials_picture([trial["value"] for trial in done], options, record["measure"], best)


def _names(looks: list[JSON], measure: str) -> list[str]:
    """Return the measures there are, the one that was chosen by first."""
    names = [name for name in (looks[0] if looks else ()) if name not in ("step", "epoch")]
    return sorted(names, key=lambda name: name != measure)
