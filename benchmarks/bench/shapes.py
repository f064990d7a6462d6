"""Request shapes: what the load sends."""

from __future__ import annotations

from dataclasses import dataclass

TOKEN = "Bearer secret"
USER = "alice"


@dataclass(frozen=True)
class Shape:
    """Header lines beside `Host`."""

    name: str
    headers: tuple[str, ...]


def _twenty() -> tuple[str, ...]:
    """20 header lines, 1.5 KiB (1,536 bytes with their line ends), as a browser behind a few proxies sends them."""
    lines = [
        f"Authorization: {TOKEN}",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Accept-Language: en-US,en;q=0.9,th;q=0.8,de;q=0.7",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Cache-Control: no-cache",
        "Pragma: no-cache",
        "DNT: 1",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-User: ?1",
        'Sec-CH-UA: "Chromium";v="130", "Not?A_Brand";v="99"',
        "Sec-CH-UA-Mobile: ?0",
        'Sec-CH-UA-Platform: "Linux"',
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
        "Referer: http://shop.example.test/catalogue/category/2?page=3&sort=price&order=asc",
        "X-Correlation-Id: 0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]
    used = sum(len(line) + 2 for line in lines)
    start = "Cookie: session="
    lines.append(start + "c" * (1536 - used - len(start) - 2))
    return tuple(lines)


BARE = Shape("bare", (f"Authorization: {TOKEN}",))
TWENTY = Shape("20 headers", _twenty())
SHAPES = {"bare": BARE, "headers": TWENTY}
