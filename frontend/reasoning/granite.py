"""Granite's thinking, which it announces in words."""

from frontend.reasoning.format import ReasoningFormat
from frontend.reasoning.think import ThinkParser

THOUGHTS = ("Here is my thought process:", "Here's my thought process:")
RESPONSES = ("Here is my response:", "Here's my response:")

GRANITE = ReasoningFormat(
    "granite",
    make=lambda opens: ThinkParser(THOUGHTS, RESPONSES, opens),
    marks=(("Here is my thought process:",), ("Here's my thought process:",)),
)
