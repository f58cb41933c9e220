"""Types of values that entries share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from interneuron.workflow.refusals import WORDS


def sorted_once(values: list[Any]) -> list[Any]:
    """Refuse values that are not in rising order, each once."""
    if sorted(set(values)) != values:
        raise ValueError("values in rising order, each once")
    return values


def once(values: list[Any]) -> list[Any]:
    """Refuse values of which one is given twice."""
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values


def _relative(path: str) -> str:
    if path.startswith("/") or "\\" in path or not set(path.split("/")).isdisjoint({"", ".", ".."}):
        raise ValueError("a relative path without '..'")
    return path


_NAME, SHA256, PREFIX, BLOB, URL = WORDS

Name = Annotated[str, Field(pattern=_NAME)]
Text = Annotated[str, Field(min_length=1)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_relative)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Index = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Alphas = Annotated[list[Finite], Field(min_length=1), AfterValidator(sorted_once)]
Digits = Annotated[list[Index], Field(min_length=1), AfterValidator(sorted_once)]
Latents = Annotated[list[Index], Field(min_length=1), AfterValidator(once)]
Assignment = Annotated[dict[Text, int | Finite], Field(min_length=1)]


class Entry(BaseModel):
    """A part of the config: unknown keys are refused, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
