"""``semvec explain``: which words of two texts their similarity comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from semvec_cli.colours import coloured
from semvec_cli.pages import check_page, write_page

if TYPE_CHECKING:
    from semvec.search.explain import Explanation

ABOUT = {
    "exact": "the shares of either text add up to the score",
    "occlusion": "each share is what the score loses without the word: they do not add up",
}


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("one", metavar="TEXT_A")
@click.argument("other", metavar="TEXT_B")
@click.option("-k", type=click.IntRange(0), default=5, help="How many pairs of words to print.")
@click.option("--html", "page", type=click.Path(dir_okay=False), help="Write a page with the match in colours to this file.")
@click.option("--overwrite", is_flag=True, help="Replace the page that --html names.")
@click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: the best there is]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the characters where each word stands.")
def explain(
    model: str, one: str, other: str, k: int, page: str | None, overwrite: bool, device: str | None, as_json: bool
) -> None:
    """Print what each word of TEXT_A and TEXT_B adds to the similarity that MODEL gives them.

    \b
    Examples:
      semvec explain minilm "How do I reset my password?" "Change your login credentials"
      semvec explain glove-50d "a cat sat" "the dog lay" --json
      semvec explain minilm "heart attack" "myocardial infarction" --html match.html
    """
    from semvec.encoders.catalog import load_encoder
    from semvec.search.explain import explain as explained

    check_page(page, overwrite=overwrite)
    found = explained(load_encoder(model, device=device), one, other)
    if page is not None:
        from semvec.search.explain_page import explain_page

        write_page(page, explain_page(found, one, other))
    if as_json:
        click.echo(json.dumps(_record(found), ensure_ascii=False, indent=1))
        return
    click.echo(f"{found.score:.4f}  {found.method}: {ABOUT[found.method]}")
    for text, parts in ((one, found.one), (other, found.other)):
        click.echo(f"\n{coloured(text, parts)}")
        for part in sorted(parts, key=lambda its: -its.share):
            click.echo(f"  {part.share:+.4f}  {' '.join(part.text.split()) or '(around the text)'}")
    if strongest := found.strongest(k):
        click.echo("\nwhat two words bring together")
        for left, right, share in strongest:
            click.echo(f"  {share:+.4f}  {left.text} – {right.text}")


def _record(found: Explanation) -> dict[str, object]:
    pairs = None if found.pairs is None else found.pairs.tolist()
    sides = {name: [asdict(part) for part in its] for name, its in (("one", found.one), ("other", found.other))}
    return {"score": found.score, "method": str(found.method), **sides, "pairs": pairs}
