"""Tokenizers of checkpoints: the same ids as transformers gives, its chat template, and no torch in the process."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ipc.control_messages import Fatal, ModelsReady
from ipc.messages import SubmitGenerate, SubmitScore
from ipc.model_card import ModelCard
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_scores, answers_tokens

pytestmark = pytest.mark.process

CORPUS = ["the capital of France is Paris", "héllo wörld 日本語 😀", "don't stop  now\n"] * 10
TEMPLATE = (
    "{{ bos_token }}{% if tools %}{{ tools | tojson }} <tool_call>{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' and not loop.first and messages[loop.index0 - 1].role == 'user' %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def save_chat_tokenizer(folder: Path) -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=alphabet, special_tokens=special
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    backend.enable_truncation(8)  # some checkpoints carry one: it must not cut prompts in silence
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def save_pair_tokenizer(folder: Path) -> Any:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", model_input_names=["input_ids", "token_type_ids", "attention_mask"]
    ).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def card(index: int, name: str, path: Path, **fields: Any) -> ModelCard:
    known: dict[str, Any] = {"architecture": "X", "dtype": "float32", "vocab_size": 400, "max_model_len": 64}
    return ModelCard(index=index, name=name, path=str(path), **(known | fields))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return folder, save_chat_tokenizer(folder / "chat"), save_pair_tokenizer(folder / "rank")


@pytest.fixture
def frontend(
    runtime_dir: Path, scheduler: ScriptedScheduler, tokenizers: tuple[Path, Any, Any]
) -> Iterator[FrontendUnderTest]:
    folder = tokenizers[0]
    cards = [
        card(0, "org/chat", folder / "chat", task="generate", eos_token_ids=(1,)),
        card(1, "rank", folder / "rank", task="score", num_labels=1),
    ]
    under_test = FrontendUnderTest(runtime_dir, scheduler.address, cards)
    try:
        under_test.load_models()
        yield under_test
    finally:
        under_test.close()


@pytest.fixture
def scheduler(runtime_dir: Path) -> Iterator[ScriptedScheduler]:
    scripted = ScriptedScheduler(runtime_dir)
    yield scripted
    scripted.close()


def test_same_ids_as_transformers_and_no_torch(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, tokenizers: tuple[Path, Any, Any]
) -> None:
    _, chat, rank = tokenizers
    text = "the capital of 日本 is 😀 what? " * 2
    scheduler.answer = answers_tokens([*chat.encode("Paris 😀", add_special_tokens=False), 1])
    with httpx.Client(base_url=frontend.url, timeout=30) as client:
        reply = client.post("/v1/completions", json={"prompt": text, "max_tokens": 20})
        assert reply.json()["choices"][0]["text"] == "Paris 😀", reply.text
        assert prompt_ids(scheduler) == chat.encode(text)
        check_chat(client, scheduler, chat)
        assert client.get("/v1/models/org/chat").json()["id"] == "org/chat"
        check_pairs(client, scheduler, rank)
    maps = Path(f"/proc/{frontend.process.pid}/maps").read_text()
    assert "libtorch" not in maps


def prompt_ids(scheduler: ScriptedScheduler) -> list[int]:
    return [int(token_id) for token_id in np.frombuffer(scheduler.next(SubmitGenerate).prompt, "<i4")]


def check_chat(client: httpx.Client, scheduler: ScriptedScheduler, chat: Any) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "héllo"}]
    for add in (True, False):
        body = {"messages": messages, "add_generation_prompt": add, "max_tokens": 5}
        reply = client.post("/v1/chat/completions", json=body)
        assert reply.json()["choices"][0]["message"]["content"] == "Paris 😀"
        expected = chat.apply_chat_template(messages, add_generation_prompt=add, return_dict=False)
        assert prompt_ids(scheduler) == expected
    refused = client.post("/v1/chat/completions", json={"messages": [messages[1], messages[1]]})
    assert refused.status_code == 400
    assert "roles must alternate" in refused.json()["error"]["message"]
    no_template = client.post("/v1/chat/completions", json={"messages": messages, "model": "rank"})
    assert no_template.status_code == 400


def check_pairs(client: httpx.Client, scheduler: ScriptedScheduler, rank: Any) -> None:
    scheduler.answer = answers_scores(lambda index: 0.0)
    first, second = "the capital", ["Paris is", "don't stop now"]
    assert client.post("/v1/score", json={"text_1": first, "text_2": second}).status_code == 200
    submit = scheduler.next(SubmitScore)
    expected = rank([first] * 2, second)
    lengths = np.frombuffer(submit.lengths, "<i4").tolist()
    assert lengths == [len(ids) for ids in expected["input_ids"]]
    assert np.frombuffer(submit.token_ids, "<i4").tolist() == list(chain(*expected["input_ids"]))
    assert np.frombuffer(submit.token_type_ids, "<i4").tolist() == list(chain(*expected["token_type_ids"]))
    long = {"text_1": first, "text_2": "stop " * 500}
    assert client.post("/v1/score", json=long).json()["error"]["code"] == "context_length_exceeded"
    assert client.post("/v1/score", json=long | {"truncate_prompt_tokens": 16}).status_code == 200
    submit = scheduler.next(SubmitScore)
    cut = rank(first, "stop " * 500, truncation="longest_first", max_length=16)
    assert np.frombuffer(submit.token_ids, "<i4").tolist() == cut["input_ids"]
    assert np.frombuffer(submit.token_type_ids, "<i4").tolist() == cut["token_type_ids"]


@pytest.mark.parametrize("content", [None, "{}", "nonsense"])
def test_a_tokenizer_that_cannot_be_read_ends_the_start(
    runtime_dir: Path, scheduler: ScriptedScheduler, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    frontend = FrontendUnderTest(runtime_dir, scheduler.address, [card(0, "m", tmp_path, task="generate")])
    try:
        frontend.link.send(ModelsReady(frontend.cards))
        assert "tokenizer of m" in frontend.wait_for(Fatal).message
        assert frontend.process.wait(30) == 1
    finally:
        frontend.close()


def test_a_broken_given_template_ends_the_start(
    runtime_dir: Path, scheduler: ScriptedScheduler, tokenizers: tuple[Path, Any, Any], tmp_path: Path
) -> None:
    """At once, and not as a refusal of each chat request."""
    template = tmp_path / "given.jinja"
    template.write_text("{% generation %}ok{% endgeneration %}\n{% if %}")
    cards = [card(0, "m", tokenizers[0] / "chat", task="generate")]
    frontend = FrontendUnderTest(runtime_dir, scheduler.address, cards, chat_template=str(template))
    try:
        frontend.link.send(ModelsReady(cards))
        fatal = frontend.wait_for(Fatal)
        assert "given.jinja is broken in line 2: " in fatal.message
        assert "--chat-template" in fatal.advice
        assert frontend.process.wait(30) == 1
    finally:
        frontend.close()
