"""What is done with an embed model's vectors after the worker: cut, brought to length 1, compared. Pure functions."""

import numpy as np
import numpy.typing as npt

from ipc.errors import ErrorCode, RequestError
from ipc.model_card import ModelCard

Vectors = npt.NDArray[np.float32]  # [texts, width]


def check_dimensions(dimensions: int | None, card: ModelCard, param: str) -> None:
    """Raises RequestError for a width that the model's vectors cannot be cut to."""
    embedding = card.embedding
    if dimensions is None or embedding is None or dimensions == card.num_labels:
        return
    if embedding.dimensions and dimensions not in embedding.dimensions:
        sizes = ", ".join(map(str, embedding.dimensions))
        message = f"The model '{card.name}' was trained for these dimensions: {sizes}, {card.num_labels}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
    if dimensions > card.num_labels:
        message = f"The vectors of '{card.name}' have {card.num_labels} dimensions; they cannot have {dimensions}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def finish(rows: Vectors, dimensions: int | None, normalize: bool) -> Vectors:
    """The vectors cut to their first `dimensions`, then of length 1 if wanted. The worker's rows are not changed."""
    cut = rows if dimensions is None else rows[:, :dimensions]
    return normalized(cut) if normalize else np.ascontiguousarray(cut)


def normalized(rows: Vectors) -> Vectors:
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    unit: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def pair_similarities(first: Vectors, second: Vectors, how: str) -> npt.NDArray[np.float64]:
    """[pairs]: row by row, higher is more alike; `how` is the card's `embedding.similarity`. In double precision."""
    left, right = first.astype(np.float64), second.astype(np.float64)
    match how:
        case "dot":
            found = (left * right).sum(axis=1)
        case "euclidean":
            found = -np.linalg.norm(left - right, axis=1)
        case "manhattan":
            found = -np.abs(left - right).sum(axis=1)
        case _:
            lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            found = (left * right).sum(axis=1) / np.maximum(lengths, 1e-12)
    result: npt.NDArray[np.float64] = found
    return result
