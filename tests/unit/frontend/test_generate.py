"""What a request is refused for before it is submitted."""

import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.generate import Choices, Order, Prompt
from frontend.logprob_rules import LogprobRules
from frontend.request_rules import generate_rules
from frontend.schema_fields import GenerateFields
from frontend.serving import Serving
from frontend.text_model import TextModel
from ipc.config import FrontendConfig
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from ipc.metrics_page import MetricsPage

CONFIG = FrontendConfig(
    frontend_id=0,
    epoch=1,
    metrics_slot=0,
    scheduler_address="ipc:///nowhere",
    runtime_dir="",
    max_body_bytes=1024,
    shutdown_timeout_s=1.0,
)


def opened(max_tokens: int, num_top: int, stream: bool = False) -> Choices:
    card = fake_card(0, "m", "fake:generate", 131_072, 16, 0)
    order = Order(
        model=TextModel(card, ByteTokenizer(), None),
        rules=generate_rules(GenerateFields(n=2, stream=stream), card, LogprobRules(num_top)),
        request_id="r",
        tenant="",
        worker_rules=b"",
        shown=None,
        goes_on=False,
        param="messages",
        logprobs_param="top_logprobs",
    )
    return Choices(Serving(CONFIG, MetricsPage.create(["m"], 1)), order, [Prompt([1], max_tokens)])


def test_output_logprobs_that_no_reply_can_hold() -> None:
    """They were gathered for as long as memory lasted."""
    with pytest.raises(RequestError) as caught:
        opened(131_071, 20)
    assert caught.value.param == "top_logprobs"


def test_what_is_streamed_or_not_told_has_no_such_bound() -> None:
    for choices in (opened(131_071, -1), opened(131_071, 20, stream=True), opened(60_000, 20)):
        assert len(choices.streams) == 2
