"""Well-behaved clients that stream all the while. The fake model's answer follows from the prompt alone, so a token
that is lost, late or somebody else's is seen."""

import asyncio
import json
import time
from urllib.parse import urlsplit

import aiohttp

from ipc.fake_card import FAKE_EOS
from workers.fake_model import fake_continuation

NUM_TOKENS = 60
TIMEOUT_S = 60.0


class Witness:
    """One client, one stream after the other."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._number = number
        self.num_right = 0
        self.wrong: list[str] = []  # what went wrong, in words
        self.longest_pause_s = 0.0  # between two pieces of a stream, or before the first

    async def stream_on(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            while True:
                await self._one(session, f"witness {self._number} asks {self.num_right + len(self.wrong)}")

    async def _one(self, session: aiohttp.ClientSession, prompt: str) -> None:
        body = {"prompt": prompt, "max_tokens": NUM_TOKENS, "temperature": 0, "ignore_eos": True, "stream": True}
        try:
            text = await self._text(session, body)
        except (aiohttp.ClientError, TimeoutError, KeyError) as error:
            self.wrong.append(f"{prompt!r}: {type(error).__name__} {error}"[:300])
            return
        if text == expected_text(prompt):
            self.num_right += 1
        else:
            self.wrong.append(f"{prompt!r}: got {text!r}"[:300])

    async def _text(self, session: aiohttp.ClientSession, body: dict[str, object]) -> str:
        text = ""
        last = time.perf_counter()
        async with session.post(f"{self._url}/v1/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                now = time.perf_counter()
                self.longest_pause_s, last = max(self.longest_pause_s, now - last), now
                if line.startswith(b"data: {"):
                    text += json.loads(line[len(b"data: ") :])["choices"][0]["text"]
        return text


class Witnesses:
    """Several, from `begin` to `end`."""

    def __init__(self, url: str, number: int) -> None:
        self.all = [Witness(url, index) for index in range(number)]
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(witness.stream_on()) for witness in self.all]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def num_right(self) -> int:
        return sum(witness.num_right for witness in self.all)

    @property
    def wrong(self) -> list[str]:
        return [words for witness in self.all for words in witness.wrong]

    @property
    def longest_pause_s(self) -> float:
        return max((witness.longest_pause_s for witness in self.all), default=0.0)


def expected_text(prompt: str) -> str:
    tokens = fake_continuation(list(prompt.encode()), NUM_TOKENS, ignore_eos=True)
    return bytes(token for token in tokens if token != FAKE_EOS).decode()


def port_of(url: str) -> int:
    return urlsplit(url).port or 0
