"""Tiny seeded models of every kind, made on the spot."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.sample import TEXTS

HIDDEN, LAYERS, POSITIONS = 32, 3, 64


def _pieces(normalizer: Any, splitter: Any, most: int = 120) -> tuple[list[str], list[str]]:
    """The sample's characters and commonest words, the same in every process (the trainers of ``tokenizers`` break ties by chance)."""
    counts = Counter(piece for text in TEXTS for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters = sorted({character for piece in counts for character in piece})
    return characters, sorted(counts, key=lambda piece: (-counts[piece], piece))[:most]


def wordpiece() -> Any:
    """A BERT tokenizer (lower case, accents stripped): the sample's characters and commonest words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    characters, pieces = _pieces(normalizer, splitter)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = list(dict.fromkeys([*special, *characters, *("##" + character for character in characters), *pieces]))
    tokenizer = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=POSITIONS,
    )


def byte_level(*, roberta: bool) -> Any:
    """A GPT-2 tokenizer (no pad token), or RoBERTa's with its special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"] if roberta else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if not roberta:
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", model_max_length=POSITIONS)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=POSITIONS,
    )


def byte_level_masked() -> Any:
    """RoBERTa's tokenizer with a mask that takes the blank before it."""
    from tokenizers import AddedToken

    tokenizer = byte_level(roberta=True)
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    return tokenizer


def metaspace_masked() -> Any:
    """A SentencePiece-like tokenizer with a mask that takes the blank before it."""
    from tokenizers import AddedToken

    tokenizer = metaspace()
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    return tokenizer


def metaspace() -> Any:
    """A SentencePiece-like tokenizer with a token before the text only, as Llama has, padding on the left."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    splitter = pre_tokenizers.Metaspace()
    characters, pieces = _pieces(normalizers.Sequence([]), splitter)
    scores = {"<unk>": 0.0, "<s>": 0.0, **dict.fromkeys(characters, -9.0), **dict.fromkeys(pieces, -7.0)}
    tokenizer = Tokenizer(models.Unigram(list(scores.items()), unk_id=0))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>", padding_side="left", model_max_length=POSITIONS
    )


def _bert(vocabulary: int) -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=POSITIONS,
        )
    )


def _roberta(vocabulary: int) -> Any:
    from transformers import RobertaConfig, RobertaModel

    return RobertaModel(
        RobertaConfig(
            vocab_size=vocabulary,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=POSITIONS + 2,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
        )
    )


def _gpt2(vocabulary: int) -> Any:
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(GPT2Config(vocab_size=vocabulary, n_embd=HIDDEN, n_layer=LAYERS, n_head=4, n_positions=POSITIONS))


def _llama(vocabulary: int) -> Any:
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            max_position_embeddings=POSITIONS,
        )
    )


def _t5(vocabulary: int) -> Any:
    from transformers import T5Config, T5Model

    return T5Model(
        T5Config(vocab_size=vocabulary, d_model=HIDDEN, num_layers=LAYERS, num_heads=4, d_kv=8, d_ff=64, decoder_start_token_id=0)
    )


KINDS = {
    "bert": (wordpiece, _bert),
    "roberta": (lambda: byte_level(roberta=True), _roberta),
    "gpt2": (lambda: byte_level(roberta=False), _gpt2),
    "llama": (metaspace, _llama),
    "t5": (metaspace, _t5),
}


def make_model(kind: str, folder: Path, *, spread: float = 8.0) -> Path:
    """Save a tiny model of ``kind`` with seeded weights, wide enough apart that its vectors differ."""
    import torch

    make_tokenizer, make = KINDS[kind]
    tokenizer = make_tokenizer()
    state = torch.get_rng_state()
    torch.manual_seed(7)
    model = make(len(tokenizer)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name and "wte" not in name:
                weight.mul_(spread)
    torch.set_rng_state(state)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_sentence_model(
    folder: Path, *, pooling: str = "mean", dense: bool = False, normalize: bool = True, **options: Any
) -> Path:
    """Save a sentence-transformers model around a tiny BERT."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    inner = make_model("bert", folder / "inner")
    modules: list[Any] = [Transformer(str(inner))]
    modules.append(Pooling(HIDDEN, pooling_mode=pooling, include_prompt=options.pop("include_prompt", True)))
    if dense:
        torch.manual_seed(3)
        modules.append(Dense(HIDDEN, 24))
    if normalize:
        modules.append(Normalize())
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(folder / "model"))
    return folder / "model"


def make_static_model(folder: Path, *, kind: str = "model2vec", quantised: bool = False, **options: Any) -> Path:
    """Save seeded vectors of the tokens of `wordpiece` as model2vec or sentence-transformers does.

    ``quantised`` gives a model2vec model what vocabulary quantisation does: fewer rows, a mapping and weights.
    """
    import numpy as np

    tokenizer = wordpiece().backend_tokenizer
    tokens, rng = tokenizer.get_vocab_size(), np.random.default_rng(5)
    vectors = rng.standard_normal((tokens // 3 if quantised else tokens, HIDDEN)).astype(np.float32)
    if kind == "model2vec":
        from model2vec import StaticModel

        extra = {"weights": rng.random(tokens), "token_mapping": rng.integers(0, len(vectors), tokens)} if quantised else {}
        StaticModel(
            vectors, tokenizer, config={"model_type": "model2vec"}, **{"normalize": True, **extra, **options}
        ).save_pretrained(folder)
        return folder
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, StaticEmbedding

    modules = [StaticEmbedding(tokenizer, embedding_weights=vectors), *([Normalize()] if options.pop("normalize", True) else [])]
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(folder))
    return folder


def make_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Save a tiny BERT that gives ``labels`` scores for a pair of texts."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    make_model("bert", folder)
    config = AutoConfig.from_pretrained(folder, num_labels=labels)
    state = torch.get_rng_state()
    torch.manual_seed(11)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8.0)
    torch.set_rng_state(state)
    model.save_pretrained(folder)
    return folder


def make_masked(folder: Path, words: tuple[str, ...] = ()) -> Path:
    """Save a tiny BERT with a masked-LM head that says something of every gap, and knows ``words``, too."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = wordpiece()
    tokenizer.add_tokens(list(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.5,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
