"""Bottleneck adapters: two small layers behind the feed-forward part of every layer of a transformer.

x + up(relu(down(x))), as Pfeiffer and others place them ("AdapterFusion", arXiv:2005.00247), once a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FEED_FORWARD = ("output.dense", "mlp.down_proj", "mlp.c_proj", "mlp.Wo", "ffn.lin2", "fc2", "ffn.output", "DenseReluDense.wo")
"""How the last linear layer of a feed-forward part is called in models of transformers."""

ATTENTION = "attention."
"""What stands in the names of those that belong to attention instead."""


def feed_forwards(model: Any) -> list[tuple[str, Any]]:
    """Return the name and module of the last linear layer of every feed-forward part of ``model``."""
    return [(name, its) for name, its in model.named_modules() if name.endswith(FEED_FORWARD) and ATTENTION not in name]


def add_bottlenecks(model: Any, hidden: int, reduction: int) -> Any:
    """Put an adapter of ``hidden`` // ``reduction`` units behind every feed-forward part, where it changes nothing yet.

    Returns the `torch.nn.ModuleList` of the adapters, which ``model`` runs from now on and has as ``adapters``. Raises
    `ValueError` for a model with no feed-forward part that is known.
    """
    import torch

    places = feed_forwards(model)
    if not places:
        raise ValueError("no feed-forward layer was found in it")
    adapters = torch.nn.ModuleList(_bottleneck(hidden, max(1, hidden // reduction)) for _ in places)
    for adapter, (_, place) in zip(adapters, places, strict=True):
        place.register_forward_hook(_behind(adapter))
    model.adapters = adapters
    return adapters


def _behind(adapter: Any) -> Any:
    def add(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output + adapter(output)  # type: ignore[no-any-return]

    return add


def _bottleneck(hidden: int, units: int) -> Any:
    """Return the two layers, the second all zeros."""
    import torch

    down, up = torch.nn.Linear(hidden, units), torch.nn.Linear(units, hidden)
    torch.nn.init.zeros_(up.weight)
    torch.nn.init.zeros_(up.bias)
    return torch.nn.Sequential(down, torch.nn.ReLU(), up)
