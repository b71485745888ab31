"""What the fake model must answer to a text prompt, as clients see it."""

from ipc.fake_card import FAKE_EOS
from workers.fake_model import fake_continuation


def expected_text(prompt: str, max_tokens: int, ignore_eos: bool = False) -> str:
    """The completion's text: the fake model's letters; an end of sequence shows nothing."""
    tokens = fake_continuation(list(prompt.encode()), max_tokens, ignore_eos=ignore_eos)
    return bytes(token for token in tokens if token != FAKE_EOS).decode()
