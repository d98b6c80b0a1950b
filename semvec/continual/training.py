"""What methods that train a network have in common: how it begins, what it says, and how it is read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semvec.continual.method import Method, unlabelled
from semvec.continual.options import ContinualOptions
from semvec.continual.teaching import state_of
from semvec.errors import InputError, ModelError
from semvec.finetune.classify import Classify
from semvec.finetune.model import FineTuned
from semvec.finetune.network import Network
from semvec.finetune.task import mean_by_owner
from semvec.finetune.tuned import Loading
from semvec.text.examples import LabelledTexts
from semvec.types import Progress


class Training(Method):
    """A method whose network, ``tuned``, is there from the first task on."""

    tuned: FineTuned | None = None

    @property
    def taught(self) -> FineTuned:
        """The network; `InputError` where nothing was learnt yet."""
        if self.tuned is None:
            raise InputError("nothing was learnt yet")
        return self.tuned

    @property
    def weights(self) -> str:
        return str(self.taught.base.weights)

    @property
    def device(self) -> str:
        return self.taught.device

    def check(self, labels: Sequence[str]) -> None:
        started(self.model, labels, self.options, self.loading)

    def logits(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Return what the network says of every text as it is now (texts, labels); there is one text at least."""
        windows = self.taught.windows(unlabelled(texts), labelled=False)
        return mean_by_owner(self.taught.logits(windows, progress), windows, len(texts))


def started(model: str, labels: Sequence[str], options: ContinualOptions, loading: Loading) -> FineTuned:
    """Return ``model`` with a new head for ``labels``, of which there are two at least, in their order."""
    examples = LabelledTexts([""] * len(labels), list(labels))
    tuned = FineTuned.start(Classify(), model, examples, options.taught_by, loading)
    tuned.config = replace(tuned.config, labels=tuple(labels))
    return tuned


def put(network: Network, tensors: dict[str, Tensor], file: Path) -> None:
    """Have ``network`` become what ``tensors``, which were read from ``file``, say; `ModelError` where they are another's."""
    wanted = state_of(network)
    if tensors.keys() != wanted.keys() or any(tensors[name].shape != its.shape for name, its in wanted.items()):
        raise ModelError(f"{file}: is damaged, or of another network: its tensors have other names or shapes")
    network.load_state_dict(tensors, strict=False)
