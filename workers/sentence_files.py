"""What a model's own sentence-transformers files say: how token states become one vector, and how vectors are used.

The files are JSON; nothing here needs torch. `modules.json` lists what runs after one another: a Transformer, a
Pooling, any number of Dense layers, at last perhaps Normalize.
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from ipc.errors import StartupError
from ipc.model_card import Embedding, Similarity
from workers.model_limits import read_json, read_json_list

POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")  # in this order in a vector
_OLD_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
)
_WITHOUT_EFFECT = ("Dropout",)  # when a model is used, not trained
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class DenseLayer:
    """One linear layer after pooling. `folder` holds its weights."""

    folder: str
    in_features: int
    out_features: int
    bias: bool
    activation: str  # name of a class of torch.nn
    use_residual: bool = False


@dataclass(frozen=True)
class SentenceFiles:
    """All of it. Without files: `is_said` is False and the rest is a default."""

    is_said: bool = False
    pooling: tuple[str, ...] = ()
    dense: tuple[DenseLayer, ...] = ()
    normalize: bool = True
    max_seq_length: int | None = None
    truncate_dim: int | None = None  # vectors are cut to so many dimensions
    lowercase: bool = False
    similarity: Similarity = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str = ""


def is_embedder(path: str) -> bool:
    """The folder is a sentence-transformers model that pools: no cross-encoder, nor one of sparse vectors."""
    return any(kind_of(module) == "Pooling" for module in read_json_list(path, "modules.json"))


def kind_of(module: dict[str, Any]) -> str:
    """The class name of an entry of modules.json, whatever its package is called in that version."""
    return str(module.get("type", "")).rpartition(".")[2]


def read_sentence_files(name: str, path: str) -> SentenceFiles:
    """What the files of model `name` say. Raises StartupError for a step we would leave out or get wrong."""
    if not is_embedder(path):
        return SentenceFiles()
    modules = [module for module in read_json_list(path, "modules.json") if kind_of(module) not in _WITHOUT_EFFECT]
    kinds = [kind_of(module) for module in modules]
    tail = kinds[2:-1] if kinds[-1] == "Normalize" else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in tail):
        raise StartupError(
            f"model {name}: modules.json lists {', '.join(kinds)}; served are Transformer, Pooling, Dense layers and"
            " Normalize, in this order",
            "this model cannot be served yet",
        )
    if modules[0].get("path"):
        raise StartupError(
            f"model {name}: its transformer lies in the folder {modules[0]['path']!r}, an old form of such models",
            "load it with sentence-transformers and save it again",
        )
    transformer = next((said for file in _TRANSFORMER_FILES if (said := read_json(path, file))), {})
    general = read_json(path, "config_sentence_transformers.json")
    prompts = {str(key): text for key, text in (general.get("prompts") or {}).items() if isinstance(text, str)}
    pooling_config = read_json(path, _inside(name, modules[1]) + "/config.json")
    if pooling_config.get("include_prompt") is False and any(prompts.values()):
        raise StartupError(f"model {name}: it leaves its prompts out of pooling, which is not supported")
    return SentenceFiles(
        is_said=True,
        pooling=_pooling(name, pooling_config),
        dense=tuple(_dense(name, path, module) for module in modules if kind_of(module) == "Dense"),
        normalize=kinds[-1] == "Normalize",
        max_seq_length=_positive(transformer.get("max_seq_length")),
        truncate_dim=_positive(general.get("truncate_dim")),
        lowercase=transformer.get("do_lower_case") is True,
        similarity=_similarity(general.get("similarity_fn_name")),
        prompts=prompts,
        default_prompt=prompts.get(str(general.get("default_prompt_name")), ""),
    )


def embedding_of(files: SentenceFiles, pooling: tuple[str, ...], dimensions: tuple[int, ...]) -> Embedding:
    """What the card says. `pooling`: the modes in use; `dimensions`: what config.json says vectors may be cut to."""
    document = (files.prompts[name] for name in _DOCUMENT_PROMPTS if name in files.prompts)
    return Embedding(
        normalize=files.normalize,
        similarity=files.similarity,
        query_prompt=files.prompts.get("query", files.default_prompt),
        document_prompt=next(document, files.default_prompt),
        pooling="+".join(pooling),
        prompts=tuple(files.prompts.items()),
        default_prompt=files.default_prompt,
        dimensions=dimensions,
        lowercase=files.lowercase,
    )


def vector_width(name: str, files: SentenceFiles, pooling: tuple[str, ...], hidden_size: int) -> int:
    """Columns of an embedding. Raises StartupError for layers that do not fit one another."""
    width = hidden_size * len(pooling)
    for layer in files.dense:
        if layer.in_features != width:
            raise StartupError(f"model {name}: its layer {layer.folder} takes {layer.in_features} numbers, not {width}")
        width = layer.out_features
    return min(width, files.truncate_dim or width)


def _pooling(name: str, config: dict[str, Any]) -> tuple[str, ...]:
    said = config.get("pooling_mode")
    modes = (said,) if isinstance(said, str) else tuple(said or ())
    if not modes:
        modes = tuple(mode for flag, mode in _OLD_FLAGS.items() if config.get(flag)) or ("mean",)
    for mode in modes:
        if mode not in POOLING_MODES:
            raise StartupError(f"model {name}: it pools by {mode!r}; known are {', '.join(POOLING_MODES)}")
    return modes


def _dense(name: str, path: str, module: dict[str, Any]) -> DenseLayer:
    folder = _inside(name, module)
    config = read_json(path, folder + "/config.json")
    inputs = config.get("module_input_name", "sentence_embedding"), config.get("module_output_name")
    if inputs[0] != "sentence_embedding" or inputs[1] not in (None, "sentence_embedding"):
        raise StartupError(f"model {name}: its layer {folder} works on {inputs[0]}, not on the text's vector")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if not activation.startswith("torch.nn."):
        raise StartupError(f"model {name}: the activation {activation} of its layer {folder} is not one of torch.nn")
    sizes = _positive(config.get("in_features")), _positive(config.get("out_features"))
    if sizes[0] is None or sizes[1] is None:
        raise StartupError(f"model {name}: {folder}/config.json does not say in_features and out_features")
    residual = config.get("use_residual") is True
    last = activation.rpartition(".")[2]
    return DenseLayer(folder, sizes[0], sizes[1], config.get("bias", True) is True, last, residual)


def _inside(name: str, module: dict[str, Any]) -> str:
    """The folder of a module, which must lie in the model's. Raises StartupError."""
    folder = PurePosixPath(str(module.get("path", "")))
    if folder.is_absolute() or ".." in folder.parts or not folder.parts:
        raise StartupError(f"model {name}: modules.json names the folder {str(folder)!r}, outside the model's")
    return str(folder)


def _positive(said: Any) -> int | None:
    return said if isinstance(said, int) and said > 0 else None


def _similarity(said: Any) -> Similarity:
    known: tuple[Similarity, ...] = get_args(Similarity)
    return next((name for name in known if name == said), "cosine")


def weights_file(path: str, layer: DenseLayer) -> Path:
    """Where a dense layer's weights lie: safetensors if there are any, else the pickle file of old models."""
    folder = Path(path) / layer.folder
    tensors = folder / "model.safetensors"
    return tensors if tensors.is_file() else folder / "pytorch_model.bin"
