"""What clients may ask, as OpenAI, and for reranking Cohere and Jina, have it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

Text = Annotated[str, StringConstraints(strict=True)]


MOST = 100_000
"""Items of a list that are looked at; what a server takes (``max_texts``) is less."""

LONGEST_WHERE = 10_000
"""Characters of a filter."""

TOKENS = "holds tokens, which are another tokenizer's: send texts (LangChain: check_embedding_ctx_length=False)"


def _texts(given: Any) -> list[str]:
    """Return a text, or a list of them, as a list. One error is raised for a list, however many of its items are no texts."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise ValueError("a text, or a list of texts, is wanted")
    if len(given) > MOST:
        raise ValueError(f"there are {len(given):,} items, far too many")
    if given and all(isinstance(one, int | list) and not isinstance(one, bool) for one in given):
        raise ValueError(TOKENS)
    if (wrong := next((at for at, one in enumerate(given) if not isinstance(one, str)), None)) is not None:
        raise ValueError(f"item {wrong} is no text")
    return given


def _documents(given: Any) -> list[str]:
    """Return a list of texts, or of objects that have a ``text``, as a list of texts."""
    if isinstance(given, list):
        given = [one.get("text") if isinstance(one, dict) else one for one in given[: MOST + 1]]
    return _texts(given)


Texts = Annotated[Any, PlainValidator(_texts, json_schema_input_type=str | list[str])]
Documents = Annotated[Any, PlainValidator(_documents, json_schema_input_type=list[str])]


class Asked(BaseModel):
    """A request; what it does not know is let pass, as clients send more than they need."""

    model_config = ConfigDict(extra="ignore")


class EmbeddingsAsked(Asked):
    """Texts whose vectors are wanted."""

    input: Texts = Field(description="A text, or a list of texts.")
    model: Text = Field(description="The model that is served, or one of its other names.")
    encoding_format: Literal["float", "base64"] = Field("float", description="Numbers, or the bytes of float32, little-endian.")
    dimensions: int | None = Field(None, ge=1, strict=True, description="Keep so many dimensions, scaled to length 1 again.")
    input_type: Literal["query", "document"] | None = Field(
        None, description="Put the model's prompt for these before the texts."
    )


class SearchAsked(BaseModel):
    """A query, or several, of the collection."""

    model_config = ConfigDict(extra="forbid")

    query: Texts = Field(description="A query, or a list of queries.")
    k: int = Field(10, ge=1, le=1000, strict=True, description="How many hits a query.")
    where: Text | None = Field(
        None, max_length=LONGEST_WHERE, description="Search only items this is true of: lang = 'de' and year >= 2020."
    )
    hybrid: bool = Field(False, description="Look for the words of the query too.")


class RerankAsked(Asked):
    """Texts that are to be put in the order of how well they answer a query."""

    query: Text
    documents: Documents = Field(description="Texts, or objects with a text.")
    model: Text | None = None
    top_n: int | None = Field(None, ge=1, strict=True, description="Give only the best.")
    return_documents: bool = Field(False, description="Give the texts, too.")
