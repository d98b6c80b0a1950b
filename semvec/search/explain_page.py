"""An explanation as a page: the words of two texts in the colours of what they add, and a map of their pairs."""

from __future__ import annotations

from html import escape

from semvec.search.explain import Explanation, Method, Part

STYLE = """
body { font: 16px/1.7 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.2rem } h2 { font-size: 1rem; margin-top: 2rem } h3 { font-size: .9rem; margin-bottom: 0 }
.text { white-space: pre-wrap } .text span { border-radius: 3px; padding: 1px 2px }
table { border-collapse: collapse; font-size: 12px }
td { width: 2.2rem; height: 1.6rem; text-align: center; border: 1px solid #eee }
th { font-weight: 400; padding: 0 .4rem; text-align: right }
thead th { writing-mode: vertical-rl; text-align: left; padding: .4rem 0 }
.note { color: #555; font-size: .9rem }
"""

NOTES = {
    Method.EXACT: "Each number is what a word adds to the score. Those of either text, with what stands around it, add up to it. "
    "A word has its surroundings in its vector: the numbers say where the score comes from, not what it would be otherwise.",
    Method.OCCLUSION: "Each number is what the score loses when the word is left out; they do not add up to it.",
}


def explain_page(found: Explanation, one: str, other: str) -> str:
    """Return a page of HTML, complete in itself, that shows ``found`` of the texts ``one`` and ``other``."""
    most = max((abs(part.share) for part in (*found.one, *found.other)), default=0.0)
    return page(
        f"Similarity {found.score:.4f} ({found.method})",
        f"<h2>First text</h2>{in_colours(one, found.one, most)}\n<h2>Second text</h2>{in_colours(other, found.other, most)}\n"
        f'<p class="note">{escape(NOTES[found.method])}</p>\n{_pairs(found)}',
    )


def page(title: str, body: str) -> str:
    """Return a page of HTML, complete in itself, of a ``title`` and a ``body`` that is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )


def in_colours(text: str, parts: tuple[Part, ...], most: float) -> str:
    """Return ``text`` as HTML, its ``parts`` in the colours of their shares on a scale of ``most``."""
    pieces, at = [], 0
    for part in (part for part in parts if part.text):
        pieces.append(escape(text[at : part.start]))
        pieces.append(
            f'<span title="{part.share:+.4f}" style="background:{_colour(part.share, most)}">{escape(part.text)}</span>'
        )
        at = part.end
    rest = "".join(f" around the text {part.share:+.4f}" for part in parts if not part.text)
    note = f'<p class="note">{escape(rest)}</p>' if rest else ""
    return f'<div class="text">{"".join(pieces)}{escape(text[at:])}</div>{note}'


def _pairs(found: Explanation) -> str:
    if found.pairs is None:
        return ""
    most = float(abs(found.pairs).max(initial=0.0))
    head = "".join(f"<th>{_name(part)}</th>" for part in found.other)
    rows = (
        f"<tr><th>{_name(part)}</th>"
        + "".join(f'<td title="{share:+.4f}" style="background:{_colour(share, most)}">{share:.2f}</td>' for share in shares)
        + "</tr>"
        for part, shares in zip(found.one, found.pairs.tolist(), strict=True)
    )
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<h2>What two words bring together</h2>{table}"


def _name(part: Part) -> str:
    return escape(part.text) or "<i>around</i>"


def _colour(share: float, most: float) -> str:
    """Return red for what adds, blue for what takes away, the fuller the more, on a scale of ``most``."""
    part = min(abs(share) / most, 1.0) if most > 0 else 0.0
    return f"rgba({'214,39,40' if share >= 0 else '31,119,180'},{0.7 * part:.2f})"
