"""Strategies: how much of an encoder learns, and by what. Each takes a model of transformers and makes it ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from semvec.encoders.bottleneck import add_bottlenecks
from semvec.encoders.tuned import INSTALL, quiet_peft, with_virtual_tokens
from semvec.errors import MissingExtra, OptionError
from semvec.finetune.options import FinetuneOptions
from semvec.types import Strategy


@dataclass(frozen=True)
class Plan:
    """One strategy: how the model is made ready, at which rates the encoder and the head learn, and for how long.

    ``stored`` is how what was learnt is kept beside the name of the encoder (`semvec.encoders.tuned`), or "whole".
    """

    about: str
    prepare: Callable[[Any, FinetuneOptions], Any]
    stored: str
    learning_rate: float
    head_learning_rate: float = 1e-3
    epochs: float = 10


def prepare(model: Any, options: FinetuneOptions) -> Any:
    """Return ``model`` with what learns under ``options.strategy`` set to learn, and nothing else.

    Raises `OptionError` where the strategy does not fit the model, `MissingExtra` where a library is missing.
    """
    model.requires_grad_(False)
    return PLANS[options.strategy].prepare(model, options)


def _all(model: Any, options: FinetuneOptions) -> Any:
    return model.requires_grad_(True)


def _none(model: Any, options: FinetuneOptions) -> Any:
    return model


def _last_layers(model: Any, options: FinetuneOptions) -> Any:
    layers = _layers(model)
    if options.last_layers > len(layers):
        raise OptionError(f"last_layers {options.last_layers} is more than the {len(layers)} layers there are")
    for layer in layers[-options.last_layers :]:
        layer.requires_grad_(True)
    return model


def _layers(model: Any) -> Any:
    """Return the layers of ``model``, its longest list of modules with weights."""
    import torch

    lists = [its for its in model.modules() if isinstance(its, torch.nn.ModuleList) and any(True for _ in its.parameters())]
    if not lists:
        raise OptionError("strategy 'last-n': no list of layers was found in this model")
    return max(lists, key=lambda its: sum(weight.numel() for weight in its.parameters()))


def _biases(model: Any, options: FinetuneOptions) -> Any:
    """BitFit (Ben Zaken and others, arXiv:2106.10199): all biases, and nothing else."""
    named = [weight for name, weight in model.named_parameters() if name.endswith("bias")]
    if not named:
        raise OptionError("strategy 'bitfit': this model has no biases")
    for weight in named:
        weight.requires_grad_(True)
    return model


def _adapters(model: Any, options: FinetuneOptions) -> Any:
    try:
        add_bottlenecks(model, int(model.config.get_text_config().hidden_size), options.reduction)
    except ValueError as error:
        raise OptionError(f"strategy 'adapter' does not fit this model: {error}") from error
    return model


def _peft(make: Callable[[Any, FinetuneOptions], Any]) -> Callable[[Any, FinetuneOptions], Any]:
    def prepared(model: Any, options: FinetuneOptions) -> Any:
        try:
            import peft
        except ImportError as error:
            raise MissingExtra(f"strategy {str(options.strategy)!r} needs the library peft ({error}): {INSTALL}") from error
        try:
            with quiet_peft():
                grown = peft.get_peft_model(model, make(peft, options))
        except ValueError as error:  # of a model whose layers peft does not know
            raise OptionError(f"strategy {str(options.strategy)!r} does not fit this model: {str(error)[:200]}") from error
        return with_virtual_tokens(grown) if grown.active_peft_config.is_prompt_learning else grown

    return prepared


def _lora(peft: Any, options: FinetuneOptions, *, dora: bool = False) -> Any:
    return peft.LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=options.rank,
        lora_alpha=2 * options.rank,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        exclude_modules=["pooler.dense"],
        use_dora=dora,
    )


def _dora(peft: Any, options: FinetuneOptions) -> Any:
    return _lora(peft, options, dora=True)


def _ia3(peft: Any, options: FinetuneOptions) -> Any:
    return peft.IA3Config(task_type="FEATURE_EXTRACTION")


def _prefix(peft: Any, options: FinetuneOptions) -> Any:
    return peft.PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=options.virtual_tokens)


def _prompt(peft: Any, options: FinetuneOptions) -> Any:
    return peft.PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=options.virtual_tokens)


def _ptuning(peft: Any, options: FinetuneOptions) -> Any:
    return peft.PromptEncoderConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=options.virtual_tokens, encoder_hidden_size=128
    )


PLANS: dict[Strategy, Plan] = {
    Strategy.FULL: Plan("all weights learn", _all, "whole", 1e-4, epochs=5),
    Strategy.HEAD: Plan("the encoder is frozen", _none, "tensors", 3e-3, 3e-3, epochs=30),
    Strategy.LAST_N: Plan("the last layers learn", _last_layers, "tensors", 2e-4, epochs=5),
    Strategy.LORA: Plan("low-rank matrices beside the linear layers (arXiv:2106.09685)", _peft(_lora), "peft", 1e-3),
    Strategy.DORA: Plan("LoRA with the lengths apart (arXiv:2402.09353)", _peft(_dora), "peft", 1e-3),
    Strategy.IA3: Plan("a factor for every key, value and inner unit (arXiv:2205.05638)", _peft(_ia3), "peft", 5e-3),
    Strategy.PREFIX: Plan("keys and values before every layer (arXiv:2101.00190)", _peft(_prefix), "peft", 1e-2),
    Strategy.PROMPT: Plan("vectors before the tokens (arXiv:2104.08691)", _peft(_prompt), "peft", 3e-2),
    Strategy.PTUNING: Plan("vectors before the tokens, by a small network (arXiv:2103.10385)", _peft(_ptuning), "peft", 5e-3),
    Strategy.ADAPTER: Plan("bottleneck adapters (arXiv:2005.00247)", _adapters, "adapter", 1e-3),
    Strategy.BITFIT: Plan("the biases alone learn (arXiv:2106.10199)", _biases, "tensors", 2e-3),
}


LOW_RANK = (Strategy.LORA, Strategy.DORA)


def settled(options: FinetuneOptions, *, learning_rate: float | None = None, epochs: float | None = None) -> FinetuneOptions:
    """Return ``options`` with rates and epochs where these were left open: those given, else the strategy's."""
    plan = PLANS[options.strategy]
    return replace(
        options,
        learning_rate=options.learning_rate or learning_rate or plan.learning_rate,
        head_learning_rate=options.head_learning_rate or plan.head_learning_rate,
        epochs=options.epochs or epochs or plan.epochs,
    )


def counted(model: Any) -> tuple[int, int]:
    """Return how many numbers of ``model`` learn, and how many there are."""
    weights = list(model.parameters())
    return sum(its.numel() for its in weights if its.requires_grad), sum(its.numel() for its in weights)
