"""What is sent: repeatable, of the wanted size, sharing exactly what it is told to share."""

from typing import Any

import pytest

from scripts.load_testing.bodies import Bodies
from scripts.load_testing.options import load_options
from scripts.load_testing.word_length import ServedModel
from scripts.load_testing.workloads import KindName


def bodies(model: ServedModel | None = None, **given: Any) -> Bodies:
    options = load_options(**given)
    names: list[KindName] = list(options.kinds)
    return Bodies(options, dict.fromkeys(names, model or ServedModel("m")))


def num_words(body: dict[str, Any]) -> int:
    return len(str(body["prompt"]).split())


def test_words_follow_from_the_measured_length() -> None:
    model = ServedModel("m", per_word=1.5, around=5.0)
    made = bodies(model, prompt_tokens=110, shared_prefix_tokens=30)
    prompts = [made.call("load", index).body["prompt"].split() for index in (0, 1)]
    assert [len(prompt) for prompt in prompts] == [90, 90]
    assert prompts[0][:20] == prompts[1][:20]
    assert prompts[0][20:] != prompts[1][20:]


@pytest.mark.parametrize("workload", ["completion", "chat", "long", "score", "embed", "mixed"])
def test_the_same_seed_sends_the_same_and_a_salt_changes_the_words_only(workload: str) -> None:
    one, same, salted = (bodies(workload=workload, salt=salt) for salt in ("", "", "other"))
    calls = [[made.call("load", index) for index in range(12)] for made in (one, same, salted)]
    assert calls[0] == calls[1]
    assert calls[0] != calls[2]
    assert [call.kind for call in calls[0]] == [call.kind for call in calls[2]]
    assert [str(call.body).count(" ") for call in calls[0]] == [str(call.body).count(" ") for call in calls[2]]


def test_conversations_share_a_system_prompt_and_grow_by_turns() -> None:
    made = bodies(workload="chat", turns=3, concurrency=1)
    messages = [made.call("load", index).body["messages"] for index in range(16 * 3)]
    assert len({each[0]["content"] for each in messages}) == 1
    assert all(each[0]["role"] == "system" for each in messages)
    assert {len(each) for each in messages} == {2, 4, 6}
    first, second = messages[0], messages[16]  # the same conversation, one turn later
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]


def test_drawn_lengths_fit_into_the_models_context() -> None:
    model = ServedModel("m", max_model_len=300)
    made = bodies(model, workload="chat", shared_prefix_tokens=50)
    for index in range(200):
        body = made.call("load", index).body
        text = " ".join(message["content"] for message in body["messages"])
        assert len(text.split()) + body["max_tokens"] <= 300


def test_fixed_lengths_are_sent_as_they_were_asked_for() -> None:
    body = bodies(ServedModel("m", max_model_len=100), prompt_tokens=90, max_tokens=500).call("load", 0).body
    assert (num_words(body), body["max_tokens"]) == (90, 500)


def test_a_score_request_has_one_query_and_documents_of_its_own() -> None:
    made = bodies(workload="score", texts=3, prompt_tokens=40)
    calls = [made.call("load", index) for index in (0, 1)]
    documents = [text for call in calls for text in call.body["text_2"]]
    assert len(set(documents)) == 6
    assert [call.num_texts for call in calls] == [3, 3]
    assert isinstance(calls[0].body["text_1"], str)


def test_a_mix_has_its_kinds_in_proportion() -> None:
    made = bodies(workload="mixed", mix={"completion": 3.0, "score": 1.0})
    kinds = [made.call("load", index).kind for index in range(400)]
    assert kinds.count("score") == pytest.approx(100, abs=25)
    assert set(kinds) == {"completion", "score"}
