"""Which models we can serve and for what, judged by their configuration before anything is loaded."""

from typing import Any, Literal

from ipc.errors import StartupError
from ipc.model_card import Task

GENERATE_ENDINGS = ("ForCausalLM", "LMHeadModel")
SCORE_ENDING = "ForSequenceClassification"


def architecture_of(name: str, config: Any) -> str:
    """The class name in config.json. Raises StartupError when it names none."""
    architectures: list[str] = getattr(config, "architectures", None) or []
    if not architectures:
        raise StartupError(
            f"model {name}: config.json names no architecture", 'add "architectures": ["...ForCausalLM"] to it'
        )
    return architectures[0]


def task_of(name: str, architecture: str, wanted: Literal["auto", "generate", "score"]) -> Task:
    """What the model is for. Raises StartupError for a model of neither kind, or of another than the operator said."""
    task: Task | None = None
    if architecture.endswith(GENERATE_ENDINGS):
        task = "generate"
    elif architecture.endswith(SCORE_ENDING):
        task = "score"
    if task is None:
        raise StartupError(
            f"model {name}: {architecture} is neither a ...ForCausalLM (generate) nor a ...{SCORE_ENDING} (score)",
            "serve a text generation model or a reranker",
        )
    if wanted not in ("auto", task):
        raise StartupError(f"model {name}: {architecture} is for {task}, not for {wanted}", "leave out --task")
    return task


def refuse_unsupported(name: str, architecture: str, task: Task, config: Any, supports_backend: bool) -> None:
    """Raises StartupError for what we know we would get wrong.

    `supports_backend`: the class lets its attention be set.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise StartupError(f"model {name}: {architecture} is an encoder-decoder model, which is not supported")
    quantization = getattr(config, "quantization_config", None)
    if quantization is not None:
        method = quantization.get("quant_method", "unknown") if isinstance(quantization, dict) else "unknown"
        raise StartupError(
            f"model {name}: its weights are quantized ({method}), which is not supported", "serve the original weights"
        )
    if task == "generate" and not supports_backend:
        raise StartupError(
            f"model {name}: {architecture} has an attention of its own that cannot be replaced"
            " (_supports_attention_backend is False in transformers)",
            "this architecture cannot be served yet",
        )


def is_padded_encoder(supports_backend: bool) -> bool:
    """Encoders with an attention of their own run padded, by their own forward."""
    return not supports_backend
