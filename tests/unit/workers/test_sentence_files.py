"""What sentence-transformers files say, in the forms of its versions, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import StartupError
from workers.sentence_files import (
    DenseLayer,
    SentenceFiles,
    embedding_of,
    is_embedder,
    read_sentence_files,
    vector_width,
)

POOLING = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
DENSE = {"in_features": 8, "out_features": 4, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}


def write(folder: Path, kinds: list[str], package: str = "sentence_transformers.models", **files: Any) -> str:
    """A folder with these modules; `files`: more contents, by name without .json, "__" for a slash."""
    paths = ["", *(f"{index}_{kind}" for index, kind in enumerate(kinds) if index)]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"{package}.{kind}"}
        for index, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    contents = {"modules": modules, "1_Pooling__config": POOLING, "2_Dense__config": DENSE} | files
    for name, content in contents.items():
        file = folder / (name.replace("__", "/") + ".json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return str(folder)


def test_a_folder_without_files(tmp_path: Path) -> None:
    assert not is_embedder(str(tmp_path))
    assert read_sentence_files("m", str(tmp_path)) == SentenceFiles()


def test_the_usual_files(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        ["Transformer", "Pooling", "Dense", "Dropout", "Normalize"],
        sentence_bert_config={"max_seq_length": 128, "do_lower_case": True},
        config_sentence_transformers={
            "prompts": {"query": "q: ", "document": "d: ", "other": None},
            "default_prompt_name": "query",
            "similarity_fn_name": "dot",
        },
    )
    files = read_sentence_files("m", path)
    assert is_embedder(path)
    assert files.pooling == ("mean",)
    assert files.dense == (DenseLayer("2_Dense", 8, 4, True, "Tanh"),)
    assert (files.normalize, files.max_seq_length, files.lowercase, files.similarity) == (True, 128, True, "dot")
    assert vector_width("m", files, files.pooling, 8) == 4
    embedding = embedding_of(files, files.pooling, (2,))
    assert (embedding.query_prompt, embedding.document_prompt, embedding.default_prompt) == ("q: ", "d: ", "q: ")
    assert (embedding.pooling, embedding.dimensions, embedding.lowercase) == ("mean", (2,), True)
    assert embedding.prompts == (("query", "q: "), ("document", "d: "))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode": "lasttoken"}, ("lasttoken",)),
        ({"pooling_mode": ["cls", "max"]}, ("cls", "max")),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ("cls", "mean")),
        ({"pooling_mode_weightedmean_tokens": True}, ("weightedmean",)),
        ({}, ("mean",)),
    ],
)
def test_pooling_in_old_and_new_words(tmp_path: Path, config: dict[str, Any], expected: tuple[str, ...]) -> None:
    path = write(tmp_path, ["Transformer", "Pooling"], "sentence_transformers.x.y", **{"1_Pooling__config": config})
    files = read_sentence_files("m", path)
    assert (files.pooling, files.normalize) == (expected, False)
    assert vector_width("m", files, files.pooling, 8) == 8 * len(expected)


def test_prompts_that_are_missing_fall_back_to_the_default() -> None:
    files = SentenceFiles(prompts={"passage": "p: "}, default_prompt="x: ")
    embedding = embedding_of(files, ("mean",), ())
    assert (embedding.query_prompt, embedding.document_prompt) == ("x: ", "p: ")
    assert vector_width("m", SentenceFiles(truncate_dim=3), ("cls", "max"), 4) == 3


@pytest.mark.parametrize(
    ("kinds", "files", "words"),
    [
        (["Transformer", "Pooling", "LSTM"], {}, "Transformer, Pooling, LSTM"),
        (["Transformer", "Pooling", "Normalize", "Dense"], {}, "in this order"),
        (["Pooling", "Transformer"], {}, "in this order"),
        (["Transformer", "Pooling"], {"1_Pooling__config": {"pooling_mode": "best"}}, "'best'"),
        (["Transformer", "Pooling", "Dense"], {"2_Dense__config": DENSE | {"activation_function": "os.system"}}, "os"),
        (["Transformer", "Pooling", "Dense"], {"2_Dense__config": {}}, "in_features"),
        (
            ["Transformer", "Pooling", "Dense"],
            {"2_Dense__config": DENSE | {"module_input_name": "token_embeddings"}},
            "token_embeddings",
        ),
        (
            ["Transformer", "Pooling"],
            {
                "1_Pooling__config": POOLING | {"include_prompt": False},
                "config_sentence_transformers": {"prompts": {"query": "q"}},
            },
            "prompts out of pooling",
        ),
    ],
)
def test_what_would_be_left_out_is_refused(tmp_path: Path, kinds: list[str], files: Any, words: str) -> None:
    path = write(tmp_path, kinds, **files)
    with pytest.raises(StartupError, match=words):
        read_sentence_files("m", path)


def test_a_module_outside_the_folder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ["Transformer", "Pooling"])
    modules = json.loads((tmp_path / "modules.json").read_text())
    for place in ("../elsewhere", "/etc", ""):
        modules[1]["path"] = place
        (tmp_path / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(StartupError, match="outside the model"):
            read_sentence_files("m", path)


def test_other_kinds_of_models_are_no_embedders(tmp_path: Path) -> None:
    assert not is_embedder(write(tmp_path, ["Transformer", "SpladePooling"]))


def test_layers_that_do_not_fit_one_another() -> None:
    files = SentenceFiles(dense=(DenseLayer("2_Dense", 8, 4, True, "Tanh"), DenseLayer("3_Dense", 5, 4, True, "Tanh")))
    with pytest.raises(StartupError, match="3_Dense takes 5 numbers, not 4"):
        vector_width("m", files, ("mean",), 8)
