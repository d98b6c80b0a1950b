"""``--corpus``: the texts of files, which can be read again and again."""

from __future__ import annotations

from collections.abc import Iterator


class Corpus:
    """The texts of files; ``left_out`` counts the rows, of the last reading, that were none."""

    def __init__(self, names: tuple[str, ...], text_field: str | None) -> None:
        from semvec.text.readers import ReadOptions
        from semvec.text.sources import find_sources

        self.sources = find_sources(list(names))
        self.read = ReadOptions(text_field, ids=False)
        self.left_out = 0

    def __iter__(self) -> Iterator[str]:
        from semvec.text.document import Document
        from semvec.text.documents import read_documents

        self.left_out = 0
        for item in read_documents(self.sources, self.read):
            if isinstance(item, Document):
                yield item.text
            else:
                self.left_out += 1
