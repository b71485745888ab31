"""Which models we can serve and for what, judged by their configuration before anything is loaded."""

from typing import Any, Literal

from ipc.errors import StartupError
from ipc.model_card import LabelActivation, Task

GENERATE_ENDINGS = ("ForCausalLM", "LMHeadModel")
SCORE_ENDING = "ForSequenceClassification"
BARE_ENDING = "Model"  # BertModel, XLMRobertaModel, ...: no head, so what comes out are states to make vectors of


def architecture_of(name: str, config: Any) -> str:
    """The class name in config.json. Raises StartupError when it names none."""
    architectures: list[str] = getattr(config, "architectures", None) or []
    if not architectures:
        raise StartupError(
            f"model {name}: config.json names no architecture", 'add "architectures": ["...ForCausalLM"] to it'
        )
    return architectures[0]


def task_of(
    name: str, architecture: str, wanted: Literal["auto", "generate", "score", "embed"], is_embedder: bool
) -> Task:
    """What the model is for. Raises StartupError for a model of no kind, or of another than the operator said.

    `is_embedder`: its folder says how sentence-transformers makes vectors with it, whatever the architecture. Vectors
    can be made with any model's states, so `wanted` "embed" always holds; a decoder that embeds can still generate.
    """
    task: Task | None = None
    if wanted == "embed" or (is_embedder and wanted == "auto"):
        return "embed"
    if architecture.endswith(GENERATE_ENDINGS):
        task = "generate"
    elif architecture.endswith(SCORE_ENDING):
        task = "score"
    elif is_embedder or architecture.endswith(BARE_ENDING):
        task = "embed"
    if task is None:
        raise StartupError(
            f"model {name}: {architecture} is neither a ...ForCausalLM (generate), nor a ...{SCORE_ENDING} (score),"
            f" nor a ...{BARE_ENDING} (embed)",
            "serve a text generation model, a reranker or an embedding model; --task embed makes vectors with any",
        )
    if wanted not in ("auto", task):
        raise StartupError(f"model {name}: {architecture} is for {task}, not for {wanted}", "leave out --task")
    return task


def default_pooling(architecture: str, config: Any) -> str:
    """How vectors are made where no file says it, as sentence-transformers does: by the last token of a decoder,
    which has seen all the others, and by the mean of an encoder."""
    is_decoder = architecture.endswith(GENERATE_ENDINGS) or getattr(config, "is_decoder", False)
    return "lasttoken" if is_decoder and getattr(config, "is_causal", True) is not False else "mean"


def label_activation(config: Any) -> LabelActivation:
    """What is made of a classifier's logits: by its problem type, else sigmoid for one label, softmax for several."""
    match getattr(config, "problem_type", None):
        case "regression":
            return "none"
        case "multi_label_classification":
            return "sigmoid"
        case _:
            return "sigmoid" if config.num_labels == 1 else "softmax"


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
