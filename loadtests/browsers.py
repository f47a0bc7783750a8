"""Header fields as browsers send them, by way of a proxy: no two of them have the same.

What a server remembers of one request helps it with the next only as far as that one is alike. A benchmark
whose clients all send the same bytes would take that for what pages do.
"""

import random
from functools import cache

_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 10; K",
)
_VERSIONS = range(120, 145)
_LANGUAGES = ("en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.7", "it-IT,it;q=0.9,en;q=0.6", "nb-NO,nb;q=0.9")


@cache
def fields_of(index: int) -> str:
    """The lines of browser `index`, each with its CRLF, the same ones each time.

    It is one of a hundred sorts, and has cookies, an address and a request id of its own.
    """
    draw = random.Random(index)
    version = draw.choice(_VERSIONS)
    lines = (
        f"User-Agent: Mozilla/5.0 ({draw.choice(_SYSTEMS)}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version}.0.0.0 Safari/537.36",
        f'sec-ch-ua: "Chromium";v="{version}", "Not?A_Brand";v="99"',
        f"Accept-Language: {draw.choice(_LANGUAGES)}",
        "Accept-Encoding: identity",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Referer: https://shop.example/orders",
        f"Cookie: session={draw.getrandbits(128):032x}; visit=1.{draw.getrandbits(31)}.1795000000",
        f"X-Forwarded-For: 10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}",
        f"X-Request-Id: {draw.getrandbits(128):032x}",
    )
    return "".join(f"{line}\r\n" for line in lines)
