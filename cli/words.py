"""``semvec words``: questions to word vectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from semvec.types import Analogy, Oov

if TYPE_CHECKING:
    from semvec.encoders.word import WordEncoder
    from semvec.encoders.word_query import Neighbour, Standing

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

    A WORD that is not in the vocabulary is looked for in other forms (--oov), and what was read instead is said on
    stderr, with --json in "read_as" and "rung". One that nothing stands for is printed as unknown (--json: rung
    "zero", nothing nearest); where that is so of every WORD, the command fails.

    \b
    Examples:
      semvec words nearest king
      semvec words nearest Paris Lisbon -k 5 --model wiki.vec
      semvec words nearest - --json < words.txt
    """
    asked = _asked(words)
    encoder = _encoder(options)
    answers = _answers(encoder, asked, k, among)
    _say_standing({one.word: one.standing for one in answers})
    _say_what_is_missing(answers, min(len(encoder.table.words), among or len(encoder.table.words)))
    if options["as_json"]:
        click.echo(json.dumps([one.record() for one in answers], ensure_ascii=False))
        return
    for one in answers:
        if one.unknown:
            click.echo(f"{one.word}: unknown")
        elif len(answers) > 1:
            click.echo(f"{one.word}:")
        _print_list(one.nearest, as_json=False)


@words.command(context_settings={"show_default": True})
@click.argument("words", nargs=-1, required=True, metavar="A B C")
@click.option("-k", type=click.IntRange(1), default=5, help="How many answers.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], help="How the three words make the fourth.")
@click.option("--among", type=click.IntRange(1), help="Look at the first, most frequent, words only.  [default: all]")
@of_a_model
def analogy(words: tuple[str, ...], k: int, method: str, among: int | None, **options: Any) -> None:
    """Print the words that are to C what B is to A.

    \b
    Examples:
      semvec words analogy man king woman
      semvec words analogy france paris italy --method 3cosmul
    """
    if len(words) != 3:
        raise click.UsageError(f"an analogy is three words, A B C (A is to B as C is to what?), not {len(words)}")
    _check_no_blank(words)
    a, b, c = words
    encoder = _encoder(options)
    _say_standing({word: encoder.standing(word) for word in words})
    _print_list(encoder.analogy([(a, b, c)], k, method=method, among=among)[0], options["as_json"])


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
    _say_standing({word: encoder.standing(word) for word in asked})
    _print_list(encoder.odd_one_out(asked), options["as_json"], first="the odd one out")


@words.command(context_settings={"show_default": True})
@click.argument("texts", nargs=2, metavar="TEXT TEXT")
@of_a_model
def distance(texts: tuple[str, str], **options: Any) -> None:
    """Print the word mover's distance of two texts, 0 for the same words.

    What stood for words that are not in the vocabulary, and which were left out, is said on stderr.

    \b
    Example:
      semvec words distance "Obama speaks in Illinois" "The president talks in Chicago"
    """
    encoder = _encoder(options)
    found = encoder.distance(*texts)
    standings = {word: its for text in texts for word, its in encoder.standings(text).items()}
    _say_standing(standings)
    if unknown := [word for word, its in standings.items() if its.rung == Oov.ZERO]:
        click.echo(f"left out, not in the vocabulary: {', '.join(unknown)}", err=True)
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
    _check_no_blank(given)
    lines = [line.strip() for word in given for line in (sys.stdin if word == "-" else [word])]
    asked = [line for line in lines if line]
    if not asked:
        raise click.UsageError("no words: standard input is empty")
    return asked


def _check_no_blank(words: Iterable[str]) -> None:
    if not all(word.strip() for word in words):
        raise click.UsageError("a word is empty")


@dataclass(frozen=True)
class Answer:
    """A word that was asked for, what stood for it, and the words nearest to it."""

    word: str
    standing: Standing
    nearest: list[Neighbour]

    @property
    def unknown(self) -> bool:
        """Whether nothing stands for the word."""
        return self.standing.rung == Oov.ZERO

    def record(self) -> dict[str, Any]:
        """Return what is printed as JSON."""
        return {
            "word": self.word,
            "rung": self.standing.rung.name.lower(),
            "read_as": list(self.standing.words),
            "nearest": [one._asdict() for one in self.nearest],
        }


def _answers(encoder: WordEncoder, words: Sequence[str], k: int, among: int | None) -> list[Answer]:
    """Return an answer for each of ``words``; raise `InputError` where nothing stands for any of them."""
    standings = {word: encoder.standing(word) for word in dict.fromkeys(words)}
    known = [word for word in words if standings[word].rung != Oov.ZERO]
    found = iter(encoder.nearest(known or words, k, among=among))
    return [Answer(word, standings[word], next(found) if standings[word].rung != Oov.ZERO else []) for word in words]


def _say_what_is_missing(answers: Sequence[Answer], looked_at: int) -> None:
    """Say on stderr how many words are unknown, and which have no neighbour among the ``looked_at`` words."""
    if unknown := sum(one.unknown for one in answers):
        click.echo(f"{unknown:,} of {len(answers):,} words unknown: nothing in the vocabulary stands for them", err=True)
    for one in answers:
        if not one.nearest and not one.unknown:
            click.echo(f"{one.word}: no neighbours, there is no other word among the {looked_at:,} looked at", err=True)


def _say_standing(standings: Mapping[str, Standing]) -> None:
    """Say on stderr what was looked up in the place of words that are not in the table."""
    for word, standing in standings.items():
        if standing.rung not in (Oov.EXACT, Oov.ZERO):
            instead = " + ".join(standing.words) or "its n-grams"
            click.echo(
                f"{' '.join(word.split())}: not in the vocabulary, read as {instead} ({standing.rung.name.lower()})", err=True
            )


def _print_list(found: list[Neighbour], as_json: bool, *, first: str = "") -> None:
    """Print words with their scores; ``first`` says what the first of them is."""
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], ensure_ascii=False))
        return
    for at, one in enumerate(found):
        click.echo(f"{one.score:7.4f}  {one.word}{f'  ({first})' if first and at == 0 else ''}")
