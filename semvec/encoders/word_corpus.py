"""The corpus that word vectors are trained on: texts cut into words once, then read from the disk as often as need be."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from typing_extensions import Self

from semvec.embeddings.files import plain_errors
from semvec.encoders.protocol import Text
from semvec.encoders.word_documents import PIECE
from semvec.encoders.word_phrases import DELIMITER, find_phrases, join
from semvec.errors import InputError
from semvec.text.document import BadRow, flaw
from semvec.text.documents import read_documents
from semvec.text.readers import ReadOptions
from semvec.text.remote import is_url
from semvec.text.sources import Source, find_sources
from semvec.text.words import join_words, split_words
from semvec.types import OnError

BETWEEN = "\0"
"""Stands between words: no text may hold it, while words that come split may hold spaces."""


class Corpus:
    """Texts as words, kept in a file without a name beside the output, which goes away with the process.

    Memory holds the ``counts`` of the words alone. ``texts`` are those with words in them, ``empty`` the
    others; ``words`` is how many words there are, ``longest`` how many the longest text has, and ``pieces``
    how many pieces all texts make (`semvec.encoders.word_documents.cut`).
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        with plain_errors(output):
            self._file = tempfile.TemporaryFile(dir=output.parent)  # noqa: SIM115 (closed by __exit__)
        self._digest = hashlib.sha256()
        self.counts: Counter[str] = Counter()
        self.texts = self.empty = self.words = self.pieces = self.longest = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, words: Sequence[str]) -> None:
        """Add one text."""
        if not words:
            self.empty += 1
            return
        line = f"{BETWEEN.join(words)}\n".encode()
        self._digest.update(line)
        with plain_errors(self._output):
            self._file.write(line)
        self.counts.update(words)
        self.texts += 1
        self.words += len(words)
        self.pieces += -(-len(words) // PIECE)
        self.longest = max(self.longest, len(words))

    def __iter__(self) -> Iterator[list[str]]:
        """Give the words of each text that has some, from the first."""
        with plain_errors(self._output):
            self._file.seek(0)
        for line in self._file:
            yield line[:-1].decode().split(BETWEEN)

    @property
    def sha256(self) -> str:
        """What tells these texts from others, wherever they were read from."""
        return self._digest.hexdigest()

    def joined(self, known: set[str], watch: Watch) -> Corpus:
        """Return the same texts with the neighbours that are one entry of ``known`` joined."""
        other = Corpus(self._output)
        other.empty = self.empty
        for words in watch(self):
            other.add([entry for _, entry in join(words, DELIMITER, known.__contains__)])
        return other


Watch = Callable[[Iterable[list[str]]], Iterable[list[str]]]
"""Gives what it is given, and tells how far it is."""


def words_of(text: Text, *, lower: bool) -> list[str]:
    """Return the words of ``text``, those the encoder finds in it, or which it came split into."""
    if isinstance(text, str):
        if reason := flaw(text):
            raise InputError(reason)
        words = [text[start:end] for start, end in split_words(text)]
    else:
        if not isinstance(text, Sequence) or isinstance(text, bytes):
            raise InputError(flaw(text) or "")
        joined, _ = join_words(text)
        if reason := flaw(joined):
            raise InputError(reason)
        words = [word for word in text if word.strip()]
        if broken := next((word for word in words if "\n" in word), None):
            raise InputError(f"the word {broken!r:.60} holds a line break")
    return [word.lower() for word in words] if lower else words


def with_phrases(corpus: Corpus, min_count: int, threshold: float, watch: Watch, old: set[str]) -> tuple[Corpus, int]:
    """Return ``corpus`` with its phrases joined, and how many different ones there are.

    Phrases that a model knows, the ``old`` ones, are joined too. The encoder will join what it finds in its
    table, so none may be joined here that is left out of it: what becomes rarer than ``min_count`` as its
    words join with others is given up, and joining starts again with the rest. Words that came with a
    delimiter in them count as phrases, since the encoder cannot tell them apart.
    """
    known = old | find_phrases(_Watched(corpus, watch), min_count, threshold)
    known |= {word for word, count in corpus.counts.items() if DELIMITER in word and count >= min_count}
    while True:
        other = corpus.joined(known, watch)
        rare = {word for word in known - old if other.counts[word] < min_count}
        if not rare:
            return other, len(known)
        known -= rare
        other.__exit__()


class _Watched:
    """A corpus that can be gone through again and tells how far it is."""

    def __init__(self, corpus: Corpus, watch: Watch) -> None:
        self._corpus, self._watch = corpus, watch

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self._watch(self._corpus))


class FileTexts:
    """The texts in files, as `semvec.encode_files` reads them, to be gone through once.

    Blank rows are texts without words here, and ids are not read. A bad row raises `InputError`, or with
    ``on_error="skip"`` is left out; ``skipped`` tells how many were, and ``first_bad`` the first of them.
    """

    def __init__(
        self,
        inputs: str | Path | Sequence[str | Path],
        *,
        read: ReadOptions | None = None,
        input_format: str | None = None,
        on_error: OnError | str = OnError.STOP,
        output: Path | None = None,
    ) -> None:
        self._read = replace(read or ReadOptions(), keep_blank=True, ids=False)
        self._on_error = OnError(on_error)
        sources = find_sources(inputs, kind=input_format, output=output)
        self._sources = [source for source in sources if output is None or not _inside(source, output)]
        if not self._sources:
            raise InputError(f"{sources[0].argument}: holds no files but those of the output")
        self.skipped = 0
        self.first_bad: BadRow | None = None

    def __iter__(self) -> Iterator[str]:
        for item in read_documents(self._sources, self._read):
            if not isinstance(item, BadRow):
                yield item.text
            elif self._on_error == OnError.STOP:
                raise InputError(f"{item.where}: {item.reason}; mend it, or --on-error skip leaves such rows out")
            else:
                self.skipped += 1
                self.first_bad = self.first_bad or item


def _inside(source: Source, output: Path) -> bool:
    """Whether ``source`` is a file of the model that is to be replaced."""
    return not (source.once or is_url(source.path)) and output.resolve() in Path(source.path).resolve().parents
