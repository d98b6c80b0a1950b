"""A decoder that writes what an encoder has read: its own vocabulary, and layers that begin as the encoder's where they can.

As in "Leveraging Pre-trained Checkpoints for Sequence Generation Tasks" (arXiv:1907.12461): attention to the encoder is new,
all else is copied where the encoder is a BERT; but the decoder is shallow, since it is run once for every word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from semvec.encoders.model_folder import first_line
from semvec.encoders.quiet import quiet_loading
from semvec.errors import ModelError

FOLDER = "decoder"
"""Where in a model's folder its decoder lies."""

PAD, START, END = "<pad>", "<s>", "</s>"
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDTH = 64
"""Numbers a head of attention, where the encoder does not say."""


def make_vocabulary(texts: Sequence[str], size: int) -> Any:
    """Return a tokenizer of at most ``size`` pieces of UTF-8 bytes, learnt from ``texts``: it writes any text there is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(alphabet) + 3),
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.TemplateProcessing(f"$A {END}", special_tokens=[(END, SPECIAL["eos_token_id"])])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=PAD, bos_token=START, eos_token=END)


def make_decoder(encoder: Any, vocabulary: int, layers: int, most: int, dropout: float) -> Any:
    """Return a decoder of ``layers`` as wide as ``encoder``, a model of transformers, which writes ``most`` tokens at most."""
    from transformers import BertConfig, BertLMHeadModel

    its = encoder.config.get_text_config()
    width = int(its.hidden_size)
    heads = int(getattr(its, "num_attention_heads", 0) or 0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads if heads and width % heads == 0 else max(1, width // WIDTH),
        intermediate_size=int(getattr(its, "intermediate_size", 0) or 4 * width),
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=most + 2,
        type_vocab_size=1,
        is_decoder=True,
        add_cross_attention=True,
        **SPECIAL,
    )
    decoder = BertLMHeadModel(config)
    _copy_layers(encoder, decoder, layers)
    return decoder


def _copy_layers(encoder: Any, decoder: Any, layers: int) -> None:
    """Have the layers of ``decoder`` begin as the last ones of ``encoder``, as far as these have weights of like names."""
    own, theirs = decoder.state_dict(), encoder.state_dict()
    skip = int(getattr(encoder.config.get_text_config(), "num_hidden_layers", layers)) - layers
    for name, weight in own.items():
        if not name.startswith("bert.encoder.layer."):
            continue
        number, _, rest = name.removeprefix("bert.encoder.layer.").partition(".")
        given = theirs.get(f"encoder.layer.{int(number) + skip}.{rest}")
        if given is not None and given.shape == weight.shape:
            weight.copy_(given)


def put_together(encoder: Any, decoder: Any) -> Any:
    """Return both as one model of transformers that reads and writes."""
    from transformers import EncoderDecoderModel

    with quiet_loading():
        model = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = SPECIAL["bos_token_id"]
        for name, number in SPECIAL.items():
            setattr(config, name, number)
    return model


def save_decoder(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the decoder of ``model`` and its vocabulary into ``folder``."""
    with quiet_loading():
        model.decoder.save_pretrained(folder / FOLDER)
        tokenizer.save_pretrained(folder / FOLDER)


def load_decoder(folder: Path) -> tuple[Any, Any]:
    """Return the decoder in ``folder`` and its vocabulary; `ModelError` where they are damaged."""
    from transformers import BertLMHeadModel, PreTrainedTokenizerFast

    place = folder / FOLDER
    try:
        with quiet_loading():
            decoder = BertLMHeadModel.from_pretrained(place, dtype=torch.float32, use_safetensors=True, local_files_only=True)
            return decoder, PreTrainedTokenizerFast.from_pretrained(place, local_files_only=True)
    except Exception as error:  # whatever transformers says of a folder it cannot make sense of
        raise ModelError(f"{place}: the decoder cannot be loaded ({first_line(error)})") from error
