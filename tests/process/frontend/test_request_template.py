"""Templates of strangers are rendered in a child: whatever they do, this process answers, and soon."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from frontend.request_template import TemplateRenderer
from ipc.errors import RequestError

pytestmark = pytest.mark.process

DEADLINE_S = 100


def filling(source: str, **variables: Any) -> dict[str, Any]:
    return {
        "conversations": [[{"role": "user", "content": "hi"}]],
        "tools": None,
        "documents": None,
        "chat_template": source,
        "continue_final_message": False,
        "add_generation_prompt": True,
        "variables": variables,
    }


def renderers() -> list[psutil.Process]:
    """Children of this process that render; the suite may have servers running beside them."""
    return [
        child for child in psutil.Process().children() if any("template_process" in word for word in child.cmdline())
    ]


def with_renderer(work: Callable[[TemplateRenderer], Awaitable[None]]) -> None:
    """Runs `work` and ends the renderer's child."""

    async def run() -> None:
        renderer = TemplateRenderer()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work(renderer)
        finally:
            await renderer.close()
        assert not renderers()

    asyncio.run(run())


def test_one_child_renders_one_after_the_other() -> None:
    async def work(renderer: TemplateRenderer) -> None:
        sources = ["{{ messages[0].content }} {{ x }}", "{% if add_generation_prompt %}go{% endif %}", "\u00fc"]
        texts = await asyncio.gather(*(renderer.render(filling(source, x=1)) for source in sources))
        assert texts == ["hi 1", "go", "\u00fc"]
        assert len(renderers()) == 1
        with pytest.raises(RequestError, match="not for you"):
            await renderer.render(filling("{{ raise_exception('not for you') }}"))
        with pytest.raises(RequestError, match="unsafe"):
            await renderer.render(filling("{{ ''.__class__.__mro__ }}"))
        with pytest.raises(RequestError, match="no_such_filter"):
            await renderer.render(filling("{{ x | no_such_filter }}"))
        with pytest.raises(RequestError, match="half a character"):
            await renderer.render(filling("{{ '%c' % 55296 }}"))
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(RequestError, match="nested"):
            await renderer.render(filling("", x=deep))
        assert await renderer.render(filling("still here")) == "still here"

    with_renderer(work)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}"
        "{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ],
    ids=["loops", "doubling"],
)
def test_what_takes_too_much_is_refused(source: str) -> None:
    async def work(renderer: TemplateRenderer) -> None:
        with pytest.raises(RequestError) as caught:
            await renderer.render(filling(source))
        assert caught.value.param == "chat_template"
        assert await renderer.render(filling("next")) == "next"

    with_renderer(work)


def test_a_request_that_is_given_up_does_not_get_in_the_way() -> None:
    async def work(renderer: TemplateRenderer) -> None:
        await renderer.render(filling("warm"))
        slow = asyncio.create_task(
            renderer.render(filling("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"))
        )
        await asyncio.sleep(0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await renderer.render(filling("next")) == "next"

    with_renderer(work)
