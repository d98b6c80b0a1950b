"""What clients may ask, as OpenAI, and for reranking Cohere and Jina, have it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strict=True)]


class Asked(BaseModel):
    """A request; what it does not know is let pass, as clients send more than they need."""

    model_config = ConfigDict(extra="ignore")


class EmbeddingsAsked(Asked):
    """Texts whose vectors are wanted."""

    input: Text | list[Text] | list[int] | list[list[int]] = Field(description="A text, or a list of texts.")
    model: Text = Field(description="The model that is served, or one of its other names.")
    encoding_format: Literal["float", "base64"] = Field("float", description="Numbers, or the bytes of float32, little-endian.")
    dimensions: int | None = Field(None, ge=1, strict=True, description="Keep so many dimensions, scaled to length 1 again.")
    input_type: Literal["query", "document"] | None = Field(
        None, description="Put the model's prompt for these before the texts."
    )


class SearchAsked(Asked):
    """A query, or several, of the collection."""

    query: Text | list[Text] = Field(description="A query, or a list of queries.")
    k: int = Field(10, ge=1, le=1000, strict=True, description="How many hits a query.")
    where: Text | None = Field(None, description="Search only items this is true of: lang = 'de' and year >= 2020.")
    hybrid: bool = Field(False, description="Look for the words of the query too.")


class RerankAsked(Asked):
    """Texts that are to be put in the order of how well they answer a query."""

    query: Text
    documents: list[Text] = Field(min_length=1)
    model: Text | None = None
    top_n: int | None = Field(None, ge=1, strict=True, description="Give only the best.")
    return_documents: bool = Field(False, description="Give the texts, too.")
