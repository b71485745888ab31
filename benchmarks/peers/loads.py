"""What is asked: cells (a model, a load, a number of streams) and their requests, new ones for every run."""

import random
from dataclasses import dataclass
from typing import Literal

from benchmarks.peers.orders import Order, Request
from benchmarks.peers.words import text_of

LoadName = Literal["equal", "mixed"]
OUTPUT_TOKENS = 64
PROMPT_TOKENS = 128
MIXED_PROMPTS = (16, 1000)
QUERY_TOKENS = 16
NUM_DOCUMENTS = 64
DOCUMENT_TOKENS = 100
MIXED_DOCUMENTS = (10, 400)
WARM_UP_STREAMS = 8
PAIR_MARKS = 4  # special tokens around a query and a document
SCORING = ("rerank",)
SHAPE_NAMES = ("qwen3", "gqa", "window", "llama100m", "rerank")


@dataclass(frozen=True)
class Cell:
    shape: str
    load: LoadName
    streams: int

    @property
    def is_scoring(self) -> bool:
        return self.shape in SCORING

    @property
    def num_requests(self) -> int:
        """Several waves of few streams, one of many: a run takes about as long."""
        if self.is_scoring:
            return max(self.streams, 2)
        return max(self.streams, min(4 * self.streams, 16))

    @property
    def most_tokens(self) -> int:
        """Of one request, prompt and output, or of one pair."""
        if self.is_scoring:
            return QUERY_TOKENS + PAIR_MARKS + (MIXED_DOCUMENTS[1] if self.load == "mixed" else DOCUMENT_TOKENS)
        return (MIXED_PROMPTS[1] if self.load == "mixed" else PROMPT_TOKENS) + OUTPUT_TOKENS

    @property
    def name(self) -> str:
        return f"{self.shape}/{self.load}:{self.streams}"


def parse_cells(texts: list[str]) -> list[Cell]:
    """From `SHAPE[/LOAD]:STREAMS,STREAMS`. Raises ValueError with what is wrong."""
    cells = []
    for text in texts:
        place, _, streams = text.partition(":")
        shape, _, load = place.partition("/")
        if shape not in SHAPE_NAMES or load not in ("", "equal", "mixed") or not streams:
            raise ValueError(f"{text!r} is not SHAPE[/LOAD]:STREAMS with a shape of {', '.join(SHAPE_NAMES)}")
        cells += [Cell(shape, "mixed" if load == "mixed" else "equal", int(count)) for count in streams.split(",")]
    return cells


def make_order(cell: Cell, words: list[str], seed: int, output_tokens: int = OUTPUT_TOKENS) -> Order:
    """The same lengths for every seed, other words."""
    source = random.Random(seed)
    maker = _score_request if cell.is_scoring else _prompt_request
    return Order(
        kind="score" if cell.is_scoring else "generate",
        streams=cell.streams,
        output_tokens=0 if cell.is_scoring else output_tokens,
        requests=[maker(cell, number, words, source) for number in range(cell.num_requests)],
        label=cell.name,
    )


def warm_up_order(cell: Cell, words: list[str], seed: int) -> Order:
    """A few streams of the cell's load, short answers."""
    order = make_order(cell, words, seed, output_tokens=8)
    streams = min(cell.streams, WARM_UP_STREAMS)
    return Order(order.kind, streams, order.output_tokens, order.requests[:streams], order.label)


def _prompt_request(cell: Cell, number: int, words: list[str], source: random.Random) -> Request:
    lengths = spread(MIXED_PROMPTS, cell.num_requests) if cell.load == "mixed" else [PROMPT_TOKENS] * cell.num_requests
    return Request(text_of(words, lengths[number], source), lengths[number])


def _score_request(cell: Cell, number: int, words: list[str], source: random.Random) -> Request:
    lengths = spread(MIXED_DOCUMENTS, NUM_DOCUMENTS) if cell.load == "mixed" else [DOCUMENT_TOKENS] * NUM_DOCUMENTS
    documents = [text_of(words, length, source) for length in lengths]
    num_tokens = sum(lengths) + NUM_DOCUMENTS * (QUERY_TOKENS + PAIR_MARKS)
    return Request(text_of(words, QUERY_TOKENS, source), num_tokens, documents)


def spread(ends: tuple[int, int], count: int) -> list[int]:
    """`count` lengths evenly from one end to the other, in a shuffled order that is always the same."""
    first, last = ends
    lengths = [first + round((last - first) * i / max(count - 1, 1)) for i in range(count)]
    random.Random(count).shuffle(lengths)
    return lengths
