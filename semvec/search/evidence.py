"""What was found by late interaction, shown: where a text's score comes from, word by word, and a page of that."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from semvec.results import Evidence, Hit, Hits
from semvec.search.explain import Part
from semvec.search.explain_page import in_colours, page

STRONGEST = 8
"""Pairs of words shown of a hit."""

AROUND = "(around the text)"
"""What is said of a token that stands for no characters, such as a model's markers."""

NOTE = (
    "Every token of the query was joined with the token of the text that is nearest to it. The fuller a colour, the more of the "
    "score was found there; a token's vector has its surroundings in it."
)


def heat(text: str, evidence: Sequence[Evidence]) -> tuple[Part, ...]:
    """Return the pieces of ``text`` that tokens of a query met, in order, and the share of the score each brought: its sum."""
    shares: dict[tuple[int, int], float] = {}
    for its in evidence:
        shares[its.start, its.end] = shares.get((its.start, its.end), 0.0) + its.score
    return tuple(Part(text[start:end], start, end, share) for (start, end), share in sorted(shares.items()))


def pairs(query: str, text: str, evidence: Sequence[Evidence], count: int = STRONGEST) -> list[tuple[str, str, float]]:
    """Return the ``count`` nearest pairs of a word of ``query`` and one of ``text``, and their cosine, the greatest first."""
    best = sorted(evidence, key=lambda its: -its.score)[:count]
    return [(query[its.query_start : its.query_end] or AROUND, text[its.start : its.end] or AROUND, its.score) for its in best]


def evidence_page(found: Sequence[Hits]) -> str:
    """Return a page of HTML, complete in itself, that shows the hits of some queries with the words that met."""
    sections = "".join(_section(hits) for hits in found)
    return page(f"{len(found):,} {'query' if len(found) == 1 else 'queries'}", f'{sections}<p class="note">{escape(NOTE)}</p>')


def _section(hits: Hits) -> str:
    query = hits.query or ""
    return f"<h2>{escape(query)}</h2>\n" + "".join(_hit(query, hit) for hit in hits)


def _hit(query: str, hit: Hit) -> str:
    text = hit.text or ""
    parts = heat(text, hit.evidence)
    most = max((part.share for part in parts), default=0.0)
    near = ", ".join(f"{escape(one)} – {escape(other)} {score:.2f}" for one, other, score in pairs(query, text, hit.evidence))
    return f'<h3>{hit.score:.3f} {escape(hit.id)}</h3>{in_colours(text, parts, most)}<p class="note">{near}</p>\n'
