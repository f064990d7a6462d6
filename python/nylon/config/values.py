"""The kinds of values that configuration is written in: text, durations, sizes, addresses, names."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from nylon.config.document import WrittenFloat, WrittenInt

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What HTTP calls a token: header names and methods (RFC 9110, 5.6.2)."""

_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m)")
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LONGEST_MS = 24 * 60 * 60 * 1_000


def wrong(text: str) -> PydanticCustomError:
    """Return an error that says `text`, word for word."""
    return PydanticCustomError("nylon", "{text}", {"text": text})


def _text(value: Any) -> Any:
    # as in the original, any scalar is accepted where text is wanted: `name: 42`
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return value


def _not_empty(value: str) -> str:
    if not value:
        raise wrong("expected text, found an empty string")
    return value


def _token(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise wrong(f"expected a header name, found {value!r}")
    return value.lower()


def _duration(value: Any) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = getattr(value, "text", value)
        raise wrong(f"expected a duration such as 500ms, 5s or 2m, found {shown!r}".replace("'", ""))
    milliseconds = int(match[1]) * _MILLISECONDS[match[2]]
    if not 0 < milliseconds <= _LONGEST_MS:
        raise wrong(f"expected a duration between 1ms and 1440m, found {value}")
    return milliseconds


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return int(value)
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = getattr(value, "text", value)
        raise wrong(f"expected a size in bytes or such as 64KiB or 10MiB, found {shown!r}".replace("'", ""))
    return int(match[1]) * _BYTES[match[2]]


def _listen_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    try:
        if not colon or not (host or not port):
            raise ValueError
        if host.startswith("[") and host.endswith("]"):
            host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
        else:
            host = str(ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host))
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError
    except ValueError:
        raise wrong(f"expected an address such as 0.0.0.0:8080 or [::1]:8080, found {value!r}") from None
    return f"{host}:{int(port)}"


def _ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise wrong(f"expected an IPv4 or IPv6 address (names are not looked up), found {value!r}") from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        hint = " (the address has bits set beyond the prefix)" if "host bits" in str(error) else ""
        raise wrong(f"expected a network such as 10.0.0.0/8 or an address, found {value!r}{hint}") from None


def plain(value: Any) -> Any:
    """Return a value of a document as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, WrittenInt):
        return int(value)
    return float(value) if isinstance(value, WrittenFloat) else value


Text = Annotated[str, BeforeValidator(_text), AfterValidator(_not_empty), WithJsonSchema({"type": "string"})]
"""Any scalar, read as the text that was written; never empty."""

HeaderName = Annotated[Text, AfterValidator(_token)]
"""A header name, kept in lower case."""

Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{value}ms", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}),
]
"""Whole milliseconds; written 500ms, 5s or 2m."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": ["integer", "string"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)$"}),
]
"""Bytes; written as a number or 64KiB, 10MiB, 1GiB."""

ListenAddress = Annotated[Text, AfterValidator(_listen_address)]
"""Where to listen: an IP address and a port, 0 for any free one."""

IpAddress = Annotated[Text, AfterValidator(_ip)]
"""An IPv4 or IPv6 literal."""

Network = Annotated[Text, AfterValidator(_network)]
"""A network in CIDR notation, or one address."""

Json = Annotated[Any, BeforeValidator(plain)]
"""Any value; it keeps its YAML type and travels as JSON."""
