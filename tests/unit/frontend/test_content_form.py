"""What a template wants of a message's content is read from its syntax tree."""

import pytest
from jinja2 import Environment

from frontend.content_form import ContentForm, content_form

LOOP = "{% for message in messages %}"
END = "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "form"),
    [
        (f"{LOOP}{{{{ message.content }}}}{END}", ContentForm.TEXT),
        (f"{LOOP}{{{{ message['content'] | trim }}}}{END}", ContentForm.TEXT),
        (f"{LOOP}{{% for part in message.content %}}{{{{ part.text }}}}{END}{END}", ContentForm.PARTS),
        (f"{LOOP}{{% for part in message['content'] %}}{{{{ part }}}}{END}{END}", ContentForm.PARTS),
        (
            f"{LOOP}{{% for p in message['content'] | selectattr('type', 'equalto', 'text') %}}{END}{END}",
            ContentForm.PARTS,
        ),
        (
            f"{LOOP}{{% if message.content is string %}}{{{{ message.content }}}}{{% else %}}"
            f"{{% for part in message.content %}}{END}{{% endif %}}{END}",
            ContentForm.EITHER,
        ),
        (
            f"{{% set rest = messages[1:] %}}{{% for m in rest %}}{{% for part in m.content %}}{END}{END}",
            ContentForm.PARTS,
        ),
        (
            f"{LOOP}{{% set content = message.content %}}{{% for part in content %}}{END}{END}",
            ContentForm.PARTS,
        ),
        (f"{LOOP}{{% for call in message.tool_calls %}}{END}{END}", ContentForm.TEXT),
        (
            f"{{% macro text(c) %}}{{% for part in c %}}{{{{ part.text }}}}{END}{{% endmacro %}}"
            f"{LOOP}{{{{ text(message.content) }}}}{END}",
            ContentForm.PARTS,
        ),
        ("plain", ContentForm.TEXT),
    ],
)
def test_detection(source: str, form: ContentForm) -> None:
    assert content_form(Environment(autoescape=True).parse(source)) is form
