"""What an output parser makes of a text, however the text is divided."""

from collections.abc import Callable, Iterable

from frontend.answer_parts import CallArguments, CallBegin, Content, OutputParser, Reasoning

Found = str | tuple[str, str]  # content as text; ("thinking", text); a call as (name, arguments)
MakeParser = Callable[[], OutputParser]
THINKING = "thinking"


def read(make: MakeParser, deltas: Iterable[str]) -> list[Found]:
    """The parts of one answer, neighbours joined. Checks what holds for all parts."""
    parser = make()
    found: list[Found] = []
    num_calls = 0
    parts = [part for delta in deltas for part in parser.push(delta)] + parser.finish()
    for part in parts:
        match part:
            case Content(text):
                assert text
                if found and isinstance(found[-1], str):
                    found[-1] += text
                else:
                    found.append(text)
            case Reasoning(text):
                assert text
                if found and found[-1][0] == THINKING and not isinstance(found[-1], str):
                    found[-1] = (THINKING, found[-1][1] + text)
                else:
                    found.append((THINKING, text))
            case CallBegin(number, call_id, name):
                assert (number, bool(call_id)) == (num_calls, True)
                num_calls += 1
                found.append((name, ""))
            case CallArguments(number, text):
                call = found[-1]
                assert (number, bool(text), isinstance(call, str)) == (num_calls - 1, True, False)
                found[-1] = (call[0], call[1] + text)
    return found


def read_in_every_way(make: MakeParser, text: str) -> list[Found]:
    """The parts, which must be the same whole, character by character, and in two pieces divided anywhere."""
    whole = read(make, [text])
    assert read(make, text) == whole
    for cut in range(len(text) + 1):
        assert read(make, [text[:cut], text[cut:]]) == whole, cut
    return whole
