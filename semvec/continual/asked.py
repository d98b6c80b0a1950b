"""A learner asked as any fine-tuned classifier is."""

from __future__ import annotations

from dataclasses import dataclass, field

from semvec.continual.learner import ContinualLearner
from semvec.errors import OptionError
from semvec.finetune.classify import Classify
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.task import Answer
from semvec.finetune.tuned import NO_NEIGHBOURS
from semvec.text.examples import LabelledTexts


@dataclass(frozen=True)
class Asked:
    """``learner``, asked of texts that are of the task ``of``, where that is told."""

    learner: ContinualLearner
    of: str | None = None
    task: Classify = field(default_factory=Classify)
    options: FinetuneOptions = field(default_factory=FinetuneOptions)
    config: None = None

    def predict(self, examples: LabelledTexts, *, explain: int = 0) -> list[Answer]:
        """Return what the learner says of every text; `OptionError` where the nearest examples are asked for."""
        if explain:
            raise OptionError(NO_NEIGHBOURS)
        return self.learner.predict(examples.texts, task=self.of)
