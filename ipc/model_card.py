"""What the processes agree on about one served model: made by the loader, completed once by the supervisor.

Everything here is small and fixed for the life of the server. The weights and KV pages themselves live in the memory
segments the supervisor holds; `kv_layout.py` says how the KV segment is divided.
"""

from typing import Literal

from msgspec import Struct

Task = Literal["generate", "score", "embed"]
LabelActivation = Literal["sigmoid", "softmax", "none"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
ComputeDevice = Literal["cpu", "cuda", "fake-cuda"]  # the last: host memory under CUDA's rules, for tests


class KvLayer(Struct, frozen=True, array_like=True):
    """Shape of one attention layer's cache, per token. Key and value widths may differ (latent attention)."""

    num_kv_heads: int
    key_dim: int
    value_dim: int


class DefaultSampling(Struct, frozen=True, array_like=True):
    """Sampling defaults of the model's generation_config.json; None where it says nothing."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


class Embedding(Struct, frozen=True, array_like=True):
    """How an embed model's vectors are used, from its sentence-transformers files. Pooling and dense layers are run by
    the workers."""

    normalize: bool = True  # the model's own last step is to bring vectors to length 1
    similarity: Similarity = "cosine"  # how two of them are compared
    query_prompt: str = ""  # written before the text of a query
    document_prompt: str = ""  # written before the text of a document
    pooling: str = "mean"  # modes of workers/pooling.py, joined by "+" where several vectors make one
    prompts: tuple[tuple[str, str], ...] = ()  # (name, text): what the model was trained to see before texts
    default_prompt: str = ""  # text before every input that names no prompt
    dimensions: tuple[int, ...] = ()  # widths the vectors may be cut to; empty: any
    lowercase: bool = False  # texts are lower-cased before they are tokenized


class ModelCard(Struct, frozen=True, kw_only=True):
    """One served model. `index` is its place in every list of models and in every step plan."""

    index: int
    name: str  # what clients say in "model"
    path: str  # local directory with config, tokenizer and weights; or "fake" for the built-in fake model
    task: Task
    architecture: str  # class name from config.json, e.g. LlamaForCausalLM
    dtype: str  # torch name of the computing type: float32, bfloat16, float16; int64 for the fake model
    vocab_size: int  # rows of the output layer; token ids of a request are below it
    max_model_len: int  # tokens, prompt plus output
    created: int = 0  # Unix seconds, when the server loaded it
    eos_token_ids: tuple[int, ...] = ()
    default_sampling: DefaultSampling = DefaultSampling()
    num_labels: int = 0  # columns of a score, width of an embedding; 0 for a generate model
    labels: tuple[str, ...] = ()  # names of a score model's labels, from config.json
    label_activation: LabelActivation = "sigmoid"  # what makes the model's own numbers of its logits
    embedding: Embedding | None = None  # of an embed model
    kv_layers: tuple[KvLayer, ...] = ()  # one per attention layer; empty for a score model
    sliding_window: int = 0  # tokens, the largest window when every layer has one; 0: some layer sees everything
    weights_bytes: int = 0
    num_parameters: int = 0
    trust_remote_code: bool = False
    attention_backend: str = ""  # chosen by the loader, with its reason in `attention_reason`
    attention_reason: str = ""
    linear: str = "plain"  # how linear layers keep their weights: plain, packed, compact, int8, int4
    linear_reason: str = ""
    layers: str = "modules"  # what runs a decoder's layers: transformers' own modules, or "lean" ones of ours
    layers_reason: str = ""
    device: ComputeDevice = "cpu"  # where it computes; the same for all real models of a server
    # filled in by the supervisor when memory is laid out:
    block_size: int = 16  # tokens in a KV page
    num_pages: int = 0  # KV pages in each pool

    @property
    def is_fake(self) -> bool:
        return self.path == "fake"
