"""A load generator that runs inside a pod (`python -c`, with the packages of the agent image).

kubectl's tunnel reaches only a third of the rate when both ends share two busy cores. The input is JSON on standard
input: url, perSecond and requests (pairs of body and headers). The output is JSON: the duration in seconds and the
number of each answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import aiohttp

CONNECTIONS = 16


async def send(url: str, per_second: int, requests: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    """Send the requests at an even rate; a slower receiver is sent the next ones as fast as it answers."""
    answers: Counter[str] = Counter()
    begin = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as client:

        async def sender(first: int) -> None:
            for number in range(first, len(requests), CONNECTIONS):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
                body, headers = requests[number]
                async with client.post(url, data=body, headers=headers) as response:
                    answers[f"{response.status} {(await response.json())['outcome']}"] += 1

        await asyncio.gather(*(sender(first) for first in range(CONNECTIONS)))
    return {"seconds": time.monotonic() - begin, "answers": answers}


if __name__ == "__main__":
    order = json.load(sys.stdin)
    print(json.dumps(asyncio.run(send(order["url"], order["perSecond"], order["requests"]))))
