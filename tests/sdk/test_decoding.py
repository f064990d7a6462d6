"""JSON into the types that handlers ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

import pydantic
import pytest

from nylon import DecodingError
from nylon.sdk.decoding import decode


@dataclass
class Inner:
    x: float


@dataclass
class Outer:
    name: str
    inner: Inner
    many: list[Inner] = field(default_factory=list[Inner])
    pair: tuple[int, str] = (0, "")
    maybe: int | None = None
    mode: Literal["a", "b"] = "a"
    table: dict[str, Inner] = field(default_factory=dict[str, Inner])
    anything: Any = None


class Typed(TypedDict):
    name: str
    extra: NotRequired[list[int]]


class Model(pydantic.BaseModel):
    count: int = 1


@pytest.mark.parametrize(
    ("wanted", "value", "result"),
    [
        (dict, {"a": 1}, {"a": 1}),
        (dict, None, {}),
        (dict[str, Any], {"a": None}, {"a": None}),
        (Any, [1], [1]),
        (int, 3, 3),
        (float, 3, 3.0),
        (str | None, None, None),
        (int | str, "x", "x"),
        (Sequence[int], [1], [1]),
        (set[int], [1, 1], {1}),
        (tuple[int, ...], [1, 2], (1, 2)),
        (Inner, {"x": 1}, Inner(1.0)),
        (
            Outer,
            {"name": "n", "inner": {"x": 1}, "many": [{"x": 2.5}], "pair": [1, "b"], "table": {"k": {"x": 0}}},
            Outer("n", Inner(1.0), [Inner(2.5)], (1, "b"), table={"k": Inner(0.0)}),
        ),
        (Typed, {"name": "n", "extra": [1]}, {"name": "n", "extra": [1]}),
        (Model, None, Model()),
        (Model, {"count": 2}, Model(count=2)),
        (list[Model], [{"count": 2}], [Model(count=2)]),
    ],
)
def test_fits(wanted: Any, value: Any, result: Any) -> None:
    decoded = decode(wanted, value, "it")
    assert decoded == result
    assert type(decoded) is type(result)


@pytest.mark.parametrize(
    ("wanted", "value", "text"),
    [
        (int, True, "decoding it: expected int, found bool"),
        (int, "1", "decoding it: expected int, found str"),
        (dict, [1], "decoding it: expected dict, found list"),
        (Inner, [1], "decoding it as Inner: expected an object, found list"),
        (Inner, {}, "decoding it as Inner: missing x"),
        (Inner, {"x": 1, "y": 2}, "decoding it as Inner: unknown y"),
        (Outer, {"name": "n", "inner": {"x": "1"}}, r"decoding it\.inner\.x: expected float, found str"),
        (Outer, {"name": "n", "inner": {"x": 1}, "many": [{}]}, r"decoding it\.many\[0\] as Inner: missing x"),
        (Outer, {"name": "n", "inner": {"x": 1}, "mode": "c"}, r"decoding it\.mode: expected one of 'a', 'b'"),
        (Outer, {"name": "n", "inner": {"x": 1}, "pair": [1]}, r"decoding it\.pair: expected 2 items, found 1"),
        (int | str, None, "decoding it: null fits none of int, str"),
        (int | None, "x", "decoding it: expected int, found str"),
        (Typed, {"extra": [1]}, "decoding it as Typed: missing name"),
        (Model, {"count": "x"}, "decoding it as Model: "),
    ],
)
def test_says_what_does_not_fit(wanted: Any, value: Any, text: str) -> None:
    with pytest.raises(DecodingError, match=text):
        decode(wanted, value, "it")
