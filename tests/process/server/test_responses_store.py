"""Several frontends, one store: whoever is asked knows a response, and can end it."""

import openai

from tests.support.running_server import StartServer


def client_of(url: str) -> openai.OpenAI:
    """A connection of its own, so that another frontend may get it."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", timeout=30.0, max_retries=0)


def test_every_frontend_knows_and_ends_what_another_computes(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--frontends", "2", "--fake-step-ms", "20")
    with client_of(server.url) as client:
        running = client.responses.create(input="Hi", background=True, extra_body={"ignore_eos": True})
    for _ in range(8):
        with client_of(server.url) as client:
            assert client.responses.retrieve(running.id).status in ("queued", "in_progress")
            made = client.responses.create(input="Hi", max_output_tokens=2)
        with client_of(server.url) as client:
            assert client.responses.retrieve(made.id).output_text == made.output_text
            next_ = client.responses.create(input="Go on", previous_response_id=made.id, max_output_tokens=2)
            assert next_.previous_response_id == made.id
    with client_of(server.url) as client:
        assert client.responses.cancel(running.id).status == "cancelled"
