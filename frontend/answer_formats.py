"""The forms we know, and which of them a model uses: read from its chat template, or named on the command line."""

from dataclasses import dataclass, field
from typing import TypeVar

from frontend.harmony import HARMONY, HARMONY_CALLS
from frontend.plugins import defined_in, installed, load_file
from frontend.reasoning.format import ReasoningFormat
from frontend.reasoning.granite import GRANITE as GRANITE_REASONING
from frontend.reasoning.think import DEEPSEEK_R1, MAGISTRAL, SEED, THINK
from frontend.tool_calls.deepseek import DEEPSEEK
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.glm import GLM
from frontend.tool_calls.hermes import HERMES
from frontend.tool_calls.json_array import GRANITE
from frontend.tool_calls.llama3_json import LLAMA3_JSON
from frontend.tool_calls.mistral import MISTRAL
from frontend.tool_calls.pythonic import PYTHONIC
from frontend.tool_calls.qwen3_coder import QWEN3_CODER
from ipc.errors import StartupError

AUTO, NONE = "auto", "none"

# the first whose marks a template bears is taken: the more particular ones come first
_TOOL_CALLS = (HARMONY_CALLS, DEEPSEEK, MISTRAL, QWEN3_CODER, GLM, GRANITE, HERMES, PYTHONIC, LLAMA3_JSON)
_REASONING = (HARMONY, GRANITE_REASONING, MAGISTRAL, SEED, THINK, DEEPSEEK_R1)

# vLLM's names for what is the same to us
_TOOL_CALL_ALIASES = {
    "openai": "harmony",
    "deepseek_v3": "deepseek",
    "deepseek_v31": "deepseek",
    "qwen3_xml": "qwen3_coder",
    "glm45": "glm",
    "glm47": "glm",
    "granite4": "hermes",
    "longcat": "hermes",
    "phi4_mini_json": "granite",
    "llama4_json": "llama3_json",
    "llama4_pythonic": "pythonic",
}
_REASONING_ALIASES = {
    "openai_gptoss": "harmony",
    "qwen3": "think",
    "deepseek_v3": "think",
    "glm45": "think",
    "holo2": "think",
    "magistral": "mistral",
}

Format = TypeVar("Format", ToolCallFormat, ReasoningFormat)


@dataclass(frozen=True)
class KnownFormats:
    """Ours, and those of a plugin file."""

    tool_calls: dict[str, ToolCallFormat] = field(default_factory=lambda: {item.name: item for item in _TOOL_CALLS})
    reasoning: dict[str, ReasoningFormat] = field(default_factory=lambda: {item.name: item for item in _REASONING})


def known_formats(plugin: str) -> KnownFormats:
    """`plugin`: a file, or "". Its formats go before ours of the same name. Raises StartupError."""
    ours = KnownFormats()
    if not plugin:
        return ours
    module = load_file(plugin)
    return KnownFormats(
        {**defined_in(module, ToolCallFormat), **ours.tool_calls, **defined_in(module, ToolCallFormat)},
        {**defined_in(module, ReasoningFormat), **ours.reasoning, **defined_in(module, ReasoningFormat)},
    )


def tool_call_format(known: KnownFormats, wanted: str, template: str) -> ToolCallFormat | None:
    """`wanted`: "auto", "none" or a name. None: calls are not looked for. Raises StartupError for an unknown name."""
    if wanted in (AUTO, NONE):
        return _first(known.tool_calls, template) if wanted == AUTO else None
    name = _TOOL_CALL_ALIASES.get(wanted, wanted)
    found = known.tool_calls.get(name) or installed("zerolane.tool_call_parsers", wanted, ToolCallFormat)
    if found is None:
        raise _unknown("--tool-call-parser", wanted, [*known.tool_calls])
    return found


def reasoning_format(known: KnownFormats, wanted: str, template: str) -> ReasoningFormat | None:
    """As `tool_call_format`, for the thinking."""
    if wanted in (AUTO, NONE):
        return _first(known.reasoning, template) if wanted == AUTO else None
    name = _REASONING_ALIASES.get(wanted, wanted)
    found = known.reasoning.get(name) or installed("zerolane.reasoning_parsers", wanted, ReasoningFormat)
    if found is None:
        raise _unknown("--reasoning-parser", wanted, [*known.reasoning])
    return found


def _first(known: dict[str, Format], template: str) -> Format | None:
    return next((item for item in known.values() if item.appears_in(template)), None)


def _unknown(flag: str, wanted: str, names: list[str]) -> StartupError:
    return StartupError(f"{flag}: there is no parser {wanted!r}.", f"Known: auto, none, {', '.join(sorted(names))}.")
