"""Which expert took which word: texts as a page of HTML, complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from semvec.selection.report import RoutingReport, TextRouting

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#6F4E9C")
"""Okabe and Ito's, which most colour-blind people tell apart, and two more; with more experts they come again."""

CONTINUES = "##"

STYLE = """
body { font: 16px/2.1 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.2rem } .note { color: #555; font-size: .9rem; line-height: 1.5 }
.text { margin: .8rem 0; padding-bottom: .8rem; border-bottom: 1px solid #eee }
.said { color: #555; font-size: .85rem; margin-right: .8rem }
.t { padding: 0 1px 3px; background-repeat: no-repeat; background-position: left bottom }
.none { color: #767676 } .kept { outline: 1.5px solid #222; border-radius: 3px }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.6 }
td, th { text-align: left; padding: .1rem .8rem .1rem 0; vertical-align: top }
button { font: inherit; border: 1px solid #999; border-radius: 4px; background: #fff; padding: 0 .5rem; cursor: pointer }
button[aria-pressed=true] { background: #222; color: #fff }
i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .3rem }
body[data-only] .t { opacity: .25 }
"""

SCRIPT = """
document.querySelectorAll('button').forEach(button => button.onclick = () => {
  const only = document.body.dataset.only === button.value ? null : button.value;
  document.querySelectorAll('button').forEach(one => one.setAttribute('aria-pressed', one.value === only));
  if (only === null) delete document.body.dataset.only; else document.body.dataset.only = only;
  document.querySelectorAll('.t').forEach(one => {
    one.style.opacity = only !== null && one.dataset.e.split(' ').includes(only) ? 1 : '';
  });
});
"""


def routing_page(
    title: str,
    report: RoutingReport,
    experts: Sequence[TextRouting],
    *,
    pooled: Sequence[TextRouting] = (),
    said: Sequence[str] = (),
    chooser: str = "expert",
) -> str:
    """Return a page that shows which of ``experts`` took which tokens of each text, as ``report`` sums it up.

    Tokens in ``pooled`` (the same texts), which a router keeps, are framed; ``said`` stands before each text; ``chooser`` is
    what an expert is called. ``report`` may be of more texts, of which these are the first.
    """
    texts = "\n".join(
        f'<div class="text">{_said(said, at)}{_tokens(experts[at], pooled[at] if pooled else None, chooser)}</div>'
        for at in range(len(experts))
    )
    more = f"<p class=note>The first {len(experts):,} of {report.texts:,} texts.</p>" if len(experts) < report.texts else ""
    framed = " What the router keeps is framed." if pooled else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
        f'<p class="note">A line under a word is one {chooser} that took it; grey words none took '
        f"({report.left_behind:.0%} of {report.tokens:,}).{framed}"
        f" Press its button to see the words of one alone. Before a text stands what the model says of it."
        f"</p>\n"
        f"{_legend(report, chooser)}{more}\n{texts}\n<script>{SCRIPT}</script></body></html>\n"
    )


def colour_of(expert: int) -> str:
    """Return the colour of an expert."""
    return COLOURS[expert % len(COLOURS)]


def _legend(report: RoutingReport, chooser: str) -> str:
    rows = "".join(
        f'<tr><td><button value="{at}" aria-pressed="false"><i style="background:{colour_of(at)}"></i>'
        f"{chooser} {at + 1}</button></td><td>{taken:,} tokens</td>"
        f"<td>{escape(', '.join(its.token for its in typical)) or '-'}</td></tr>"
        for at, (taken, typical) in enumerate(zip(report.per_expert, report.typical, strict=True))
    )
    return f"<table><thead><tr><th></th><th>took</th><th>oftener than others do</th></tr></thead><tbody>{rows}</tbody></table>\n"


def _said(said: Sequence[str], at: int) -> str:
    return f'<span class="said">{escape(said[at])}</span>' if said and said[at] else ""


def _tokens(its: TextRouting, pooled: TextRouting | None, chooser: str) -> str:
    parts = []
    for at, surface in enumerate(its.surfaces):
        took = [expert for expert in range(len(its.took)) if its.took[expert, at]]
        bare = surface.removeprefix(CONTINUES)
        space = "" if at == 0 or (surface.startswith(CONTINUES) and bare) else " "
        kept = pooled is not None and bool(pooled.took[0, at])
        names = " ".join(["t", *([] if took else ["none"]), *(["kept"] if kept else [])])
        gates = ", ".join(f"{chooser} {expert + 1}: {its.gates[at, expert]:.2f}" for expert in took) or f"no {chooser}"
        about = f'class="{names}" data-e="{" ".join(map(str, took))}" title="{gates}"{_style(took)}'
        parts.append(f"{space}<span {about}>{escape(bare or surface)}</span>")
    return "".join(parts)


def _style(took: Sequence[int]) -> str:
    """Return the style that draws a line for each expert, one above the other."""
    if not took:
        return ""
    images = ",".join(f"linear-gradient({colour_of(expert)},{colour_of(expert)})" for expert in took)
    sizes = ",".join("100% 3px" for _ in took)
    places = ",".join(f"left bottom {4 * at}px" for at in range(len(took)))
    below = f"padding-bottom:{4 * len(took)}px"
    return f' style="background-image:{images};background-size:{sizes};background-position:{places};{below}"'
