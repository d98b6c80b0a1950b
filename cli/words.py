"""``semvec words``: questions to word vectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from semvec.types import Analogy

if TYPE_CHECKING:
    from semvec.encoders.word import WordEncoder
    from semvec.encoders.word_query import Neighbour

Command = TypeVar("Command", bound=Callable[..., Any])
METHODS = [str(method) for method in Analogy]


def of_a_model(command: Command) -> Command:
    """Add the options that every question has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print as JSON."),
        click.option("--trust-pickle", is_flag=True, help="Read gensim's own files, pickles, which can run any code."),
        click.option(
            "--oov", default="all", help="Rungs for words not in the table: all, none, or some of case,fold,subword,spelling."
        ),
        click.option("-m", "--model", default="glove-50d", help="Word vectors: a name, a file, or a folder."),
    ):
        command = option(command)
    return command


@click.group()
def words() -> None:
    """Ask word vectors: neighbours, analogies, the odd one out, distances.

    \b
    Examples:
      semvec words nearest king -k 5
      semvec words analogy man king woman
      semvec words odd-one-out breakfast cereal dinner lunch
      semvec words distance "Obama speaks in Illinois" "The president talks in Chicago"
    """


@words.command(context_settings={"show_default": True})
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("-k", type=click.IntRange(1), default=10, help="How many neighbours.")
@click.option("--among", type=click.IntRange(1), help="Look at the first, most frequent, words only.  [default: all]")
@of_a_model
def nearest(words: tuple[str, ...], k: int, among: int | None, **options: Any) -> None:
    """Print the nearest words of each WORD by cosine; - reads words from standard input, one a line.

    \b
    Examples:
      semvec words nearest king
      semvec words nearest Paris Lisbon -k 5 --model wiki.vec
      semvec words nearest - --json < words.txt
    """
    asked = _asked(words)
    encoder = _encoder(options)
    _print_lists(encoder, asked, encoder.nearest(asked, k, among=among), options["as_json"])


@words.command(context_settings={"show_default": True})
@click.argument("words", nargs=3, metavar="A B C")
@click.option("-k", type=click.IntRange(1), default=5, help="How many answers.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], help="How the three words make the fourth.")
@click.option("--among", type=click.IntRange(1), help="Look at the first, most frequent, words only.  [default: all]")
@of_a_model
def analogy(words: tuple[str, str, str], k: int, method: str, among: int | None, **options: Any) -> None:
    """Print the words that are to C what B is to A.

    \b
    Examples:
      semvec words analogy man king woman
      semvec words analogy france paris italy --method 3cosmul
    """
    encoder = _encoder(options)
    _say_standing(encoder, words)
    _print_list(encoder.analogy([words], k, method=method, among=among)[0], options["as_json"])


@words.command("odd-one-out", context_settings={"show_default": True})
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@of_a_model
def odd_one_out(words: tuple[str, ...], **options: Any) -> None:
    """Print the WORDs by their cosine to the mean of all, the odd one first.

    \b
    Example:
      semvec words odd-one-out breakfast cereal dinner lunch
    """
    asked = _asked(words)
    encoder = _encoder(options)
    _say_standing(encoder, asked)
    _print_list(encoder.odd_one_out(asked), options["as_json"])


@words.command(context_settings={"show_default": True})
@click.argument("texts", nargs=2, metavar="TEXT TEXT")
@of_a_model
def distance(texts: tuple[str, str], **options: Any) -> None:
    """Print the word mover's distance of two texts, 0 for the same words.

    \b
    Example:
      semvec words distance "Obama speaks in Illinois" "The president talks in Chicago"
    """
    encoder = _encoder(options)
    found = encoder.distance(*texts)
    if unknown := [word for text in texts for word in encoder.unknown(text)]:
        click.echo(f"left out, not in the vocabulary: {', '.join(dict.fromkeys(unknown))}", err=True)
    click.echo(json.dumps(found) if options["as_json"] else f"{found:.4f}")


def _encoder(options: dict[str, Any]) -> WordEncoder:
    from semvec.encoders.catalog import load_encoder
    from semvec.encoders.word import WordEncoder
    from semvec.errors import ModelError

    encoder = load_encoder(options["model"], trust_pickle=options["trust_pickle"], oov=options["oov"])
    if not isinstance(encoder, WordEncoder):
        raise ModelError(f"{options['model']} is no table of word vectors; 'semvec models' lists the word models there are")
    return encoder


def _asked(words: Iterable[str]) -> list[str]:
    """Return ``words``, with those on standard input where ``-`` stands."""
    given = list(words)
    if given.count("-") > 1:
        raise click.UsageError("standard input (-) can be read only once")
    if "-" in given and sys.stdin is None:
        raise click.UsageError("standard input is closed")
    lines = [line.strip() for word in given for line in (sys.stdin if word == "-" else [word])]
    asked = [line for line in lines if line]
    if not asked:
        raise click.UsageError("no words: standard input is empty")
    return asked


def _say_standing(encoder: WordEncoder, words: Sequence[str]) -> None:
    """Say on stderr what was looked up in the place of words that are not in the table."""
    for word in dict.fromkeys(words):
        standing = encoder.standing(word)
        if standing.rung.name not in ("EXACT", "ZERO"):
            instead = " + ".join(standing.words) or "its n-grams"
            click.echo(
                f"{' '.join(word.split())}: not in the vocabulary, read as {instead} ({standing.rung.name.lower()})", err=True
            )


def _print_lists(encoder: WordEncoder, words: Sequence[str], lists: list[list[Neighbour]], as_json: bool) -> None:
    _say_standing(encoder, words)
    if as_json:
        click.echo(json.dumps([_record(word, found) for word, found in zip(words, lists, strict=True)], ensure_ascii=False))
        return
    for word, found in zip(words, lists, strict=True):
        if len(words) > 1:
            click.echo(f"{word}:")
        _print_list(found, as_json=False)


def _record(word: str, found: list[Neighbour]) -> dict[str, Any]:
    return {"word": word, "nearest": [one._asdict() for one in found]}


def _print_list(found: list[Neighbour], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], ensure_ascii=False))
        return
    for one in found:
        click.echo(f"{one.score:7.4f}  {one.word}")
