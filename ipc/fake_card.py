"""The cards of the built-in fake models, which need no files: `fake:generate`, `fake:score` and `fake:embed`.

The fake generate model answers in a way that identifies its prompt, one byte a token; its KV cache holds one integer
a token, so that pages written by another stream are seen at once. What it computes stands in `workers/fake_model.py`.
"""

from ipc.model_card import Embedding, KvLayer, ModelCard, Task

FAKE_SOURCES: dict[str, Task] = {"fake:generate": "generate", "fake:score": "score", "fake:embed": "embed"}
FAKE_VOCAB_SIZE = 257  # the 256 bytes and the end-of-sequence token
FAKE_EOS = 256
FAKE_MAX_MODEL_LEN = 4096  # tokens, where the operator says nothing
FAKE_WIDTH = 32  # numbers in an embedding
_COLUMNS: dict[Task, int] = {"generate": 0, "score": 1, "embed": FAKE_WIDTH}


def fake_card(index: int, name: str, source: str, max_model_len: int, block_size: int, created: int) -> ModelCard:
    """The card of a fake model, complete but for `num_pages`. `max_model_len` 0 means FAKE_MAX_MODEL_LEN.

    Raises KeyError for a source that is not in FAKE_SOURCES.
    """
    task = FAKE_SOURCES[source]
    return ModelCard(
        index=index,
        name=name,
        path="fake",
        task=task,
        architecture="FakeModel",
        dtype="int64",
        vocab_size=FAKE_VOCAB_SIZE,
        max_model_len=max_model_len or FAKE_MAX_MODEL_LEN,
        created=created,
        eos_token_ids=(FAKE_EOS,) if task == "generate" else (),
        num_labels=_COLUMNS[task],
        labels=("LABEL_0",) if task == "score" else (),
        embedding=Embedding(pooling="lasttoken") if task == "embed" else None,
        kv_layers=(KvLayer(1, 1, 0),) if task == "generate" else (),
        attention_backend="fake",
        attention_reason="the built-in fake model",
        block_size=block_size,
    )
