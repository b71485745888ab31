"""How well tiny-chat does on phrasings, names, cities and sums that it was not trained on.

Loads the files as any user would, asks through the chat template and decodes greedily; an answer counts only if every
character is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import chat_texts as texts
from chat_texts import Dialogue

TARGET = 0.95  # over all cases
SKILL_TARGET = 0.8  # of each main skill: some families of phrasings are never trained at all
MAIN_SKILLS = ("capitals", "languages", "addition", "name recall", "tool call", "tool answer")
SHOWN_ONLY = ("recall of unknown names", "calls about unknown cities")  # copying letter by letter: no target
_CASES_A_SKILL = 100
_BATCH = 50
_LONGEST_ANSWER = 48


class Case(NamedTuple):
    """What was said so far, and what tiny-chat should say next."""

    skill: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    expected: str


def _last_answer(skill: str, talk: Dialogue) -> Case:
    return Case(skill, talk.messages[:-1], talk.tools, talk.messages[-1]["content"])


def _after_small_matters(rng: Random, weather: bool = False, new_names: bool = False) -> Dialogue:
    """A held-out dialogue with up to two exchanges about other things behind it."""
    talk = Dialogue(rng, held_out=True, new_names=new_names)
    talk.open(weather)
    for _ in range(rng.choice((0, 0, 1, 2))):
        rng.choice((texts.capital, texts.addition, texts.small_talk, texts.language))(talk)
    talk.last_topic = None
    return talk


def _name_case(rng: Random, told: bool, new_names: bool = False) -> Case:
    talk = Dialogue(rng, held_out=True, new_names=new_names)
    talk.open(weather=rng.random() < 0.1)
    if told:
        texts.tell_name(talk)
    for _ in range(rng.choice((0, 1, 2, 3))):
        rng.choice((texts.capital, texts.addition, texts.small_talk, texts.language))(talk)
    texts.ask_name(talk)
    skill = "recall of unknown names" if new_names else "name recall"
    return _last_answer(skill if told else "no name told", talk)


def _tool_cases(rng: Random, new_names: bool = False) -> list[Case]:
    talk = _after_small_matters(rng, weather=True, new_names=new_names)
    texts.weather(talk)
    call = talk.messages[-3]["tool_calls"][0]["function"]
    rendered = f'<tool_call>\n{{"name": "{call["name"]}", "arguments": {call["arguments"]}}}\n</tool_call>'
    if new_names:
        return [Case("calls about unknown cities", talk.messages[:-3], talk.tools, rendered)]
    return [Case("tool call", talk.messages[:-3], talk.tools, rendered), _last_answer("tool answer", talk)]


def held_out_cases(seed: int) -> list[Case]:
    """About a hundred cases of every skill."""
    rng = Random(seed)
    cases: list[Case] = []
    for _ in range(_CASES_A_SKILL):
        for skill, ask in (
            ("capitals", texts.capital),
            ("languages", texts.language),
            ("addition", texts.addition),
            ("small talk", texts.small_talk),
            ("beyond it", texts.unknown),
            ("weather without tool", texts.weather),
        ):
            talk = _after_small_matters(rng)
            ask(talk)
            cases.append(_last_answer(skill, talk))
        talk = _after_small_matters(rng, weather=True)
        texts.capital(talk)
        cases.append(_last_answer("tool not needed", talk))
        cases += [
            _name_case(rng, told=True),
            *([_name_case(rng, told=False)] if rng.random() < 0.5 else []),
            *_tool_cases(rng),
            _name_case(rng, told=True, new_names=True),
            *_tool_cases(rng, new_names=True),
        ]
    return cases


def answer_all(model: Any, tokenizer: Any, cases: list[Case]) -> list[str]:
    """The model's greedy answers, in the order of the cases."""
    tokenizer.padding_side = "left"
    prompts = [
        tokenizer.apply_chat_template(
            case.messages, tools=list(case.tools) or None, add_generation_prompt=True, tokenize=False
        )
        for case in cases
    ]
    answers = [""] * len(cases)
    by_length = sorted(range(len(cases)), key=lambda index: len(prompts[index]))
    for at in range(0, len(cases), _BATCH):
        chosen = by_length[at : at + _BATCH]
        batch = tokenizer(
            [prompts[index] for index in chosen], return_tensors="pt", padding=True, return_token_type_ids=False
        )
        with torch.inference_mode():
            tokens = model.generate(**batch, max_new_tokens=_LONGEST_ANSWER)
        for index, row in zip(chosen, tokens[:, batch["input_ids"].shape[1] :], strict=True):
            answers[index] = str(tokenizer.decode(row, skip_special_tokens=True))
    return answers


def evaluate_chat(folder: Path, dtype: torch.dtype, seed: int = 7) -> bool:
    """Print the share of right answers by skill, with some wrong ones, and say whether the targets are met."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    cases = held_out_cases(seed)
    right: Counter[str] = Counter()
    asked = Counter(case.skill for case in cases)
    wrong: dict[str, list[str]] = defaultdict(list)
    for case, answer in zip(cases, answer_all(model, tokenizer, cases), strict=True):
        if answer == case.expected:
            right[case.skill] += 1
        else:
            wrong[case.skill].append(f"{case.messages[-1]['content']!r} -> {answer!r}, expected {case.expected!r}")
    print(f"tiny-chat, held out, weights in {dtype}:")
    for skill in asked:
        print(f"  {skill:<26} {right[skill] / asked[skill]:7.1%} of {asked[skill]}")
        for line in wrong[skill][:2]:
            print(f"      {line}")
    judged = [skill for skill in asked if skill not in SHOWN_ONLY]
    overall = sum(right[skill] for skill in judged) / sum(asked[skill] for skill in judged)
    print(f"  {'overall, without unknown':<26} {overall:7.1%}", flush=True)
    return overall >= TARGET and all(right[skill] / asked[skill] >= SKILL_TARGET for skill in MAIN_SKILLS)
