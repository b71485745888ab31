"""A child of a frontend that renders chat templates of strangers, one after the other. Run as a script, on its own.

Frames on stdin and stdout: 4 bytes of length (big-endian), then JSON. In: what `transformers` takes. Out: {"text"} or
{"error"}; the first one, {"ready"}, says that everything is imported. A template cannot harm more than this process:
its memory is limited, a timer of the kernel ends it when a rendering takes too long, and it ends with its stdin.
"""

import json
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

LIMIT_S = 3.0  # one rendering
MEMORY_BYTES = 512 << 20  # beyond what the imports took
MAX_TEXT = 16 << 20  # characters of a prompt
HEADER_BYTES = 4


def main() -> None:
    """Serves until stdin ends."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # as in the frontend: it would cost seconds
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    from transformers.utils.chat_template_utils import render_jinja_template

    _limit_memory()
    frames, replies = sys.stdin.buffer, sys.stdout.buffer
    _reply(replies, {"ready": True})
    while header := frames.read(HEADER_BYTES):
        filling = json.loads(frames.read(int.from_bytes(header, "big")))
        variables = filling.pop("variables")
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)  # SIGALRM, which nobody handles, ends this process
        try:
            text = render_jinja_template(**filling, **variables)[0][0]
        except MemoryError:
            return  # who knows what is left of this process
        except Exception as error:  # noqa: BLE001 - whatever a template raises is told to the client
            _reply(replies, {"error": f"{error}"[:1024], "kind": type(error).__name__})
        else:
            _reply(replies, {"text": text} if len(text) <= MAX_TEXT else {"error": "the text is too long"})
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reply(replies: BinaryIO, record: dict[str, Any]) -> None:
    body = json.dumps(record).encode()
    replies.write(len(body).to_bytes(HEADER_BYTES, "big") + body)
    replies.flush()


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))


if __name__ == "__main__":
    main()
