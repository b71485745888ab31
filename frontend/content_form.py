"""How a chat template wants the content of messages: as one text, or as a list of parts as OpenAI's API has it.

Read from the template's syntax tree, as vLLM does: a template that loops over the content of a message wants parts.
"""

from collections.abc import Iterator
from enum import Enum

from jinja2 import nodes


class ContentForm(Enum):
    """What the template is given."""

    TEXT = "string"  # parts are joined by newlines
    PARTS = "openai"  # a text becomes a list of one part
    EITHER = "either"  # parts stay parts and a text stays a text: the template asks which it is


def content_form(template: nodes.Template) -> ContentForm:
    """What a parsed template wants."""
    messages = _names_of(template, {"messages"})
    message = _names_of(template, set(_loop_names(template, messages, None)))
    if not any(_loop_names(template, message, "content")):
        return ContentForm.TEXT
    asks = any(test.name == "string" for test in template.find_all(nodes.Test))
    return ContentForm.EITHER if asks else ContentForm.PARTS


def _names_of(template: nodes.Template, names: set[str]) -> set[str]:
    """`names` and all names that are set to them, to a slice of them or to what a filter makes of them."""
    found = set(names)
    size = -1
    while len(found) > size:
        size = len(found)
        found |= set(_assigned(template, found, None))
    return found


def _loop_names(template: nodes.Template, names: set[str], key: str | None) -> Iterator[str]:
    """The variables of the loops over one of `names`, or over its field `key`. A field may be set to a name first."""
    fields: set[str] = set()
    if key is not None:
        fields = {*_assigned(template, names, key), *_macro_arguments(template, names, key)}
    for loop in template.find_all(nodes.For):
        is_field = _is_one_of(loop.iter, names, key) or _is_one_of(loop.iter, fields, None)
        if is_field and isinstance(loop.target, nodes.Name):
            yield loop.target.name


def _macro_arguments(template: nodes.Template, names: set[str], key: str) -> Iterator[str]:
    """The arguments of the template's own macros that are called with the field `key` of one of `names`."""
    macros = {macro.name: macro for macro in template.find_all(nodes.Macro)}
    for call in template.find_all(nodes.Call):
        macro = macros.get(call.node.name) if isinstance(call.node, nodes.Name) else None
        if macro is not None:
            for argument, value in zip(macro.args, call.args, strict=False):
                if _is_one_of(value, names, key):
                    yield argument.name


def _assigned(template: nodes.Template, names: set[str], key: str | None) -> Iterator[str]:
    """The variables that are set to one of `names`, or to its field `key`."""
    for node in template.find_all(nodes.Assign):
        if isinstance(node.target, nodes.Name) and _is_one_of(node.node, names, key):
            yield node.target.name


def _is_one_of(node: nodes.Node | None, names: set[str], key: str | None) -> bool:
    """Whether an expression is one of `names` (or its field `key`), perhaps filtered or sliced."""
    if isinstance(node, nodes.Filter | nodes.Test):
        return _is_one_of(node.node, names, key)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        return _is_one_of(node.node, names, key)
    if key is None:
        return isinstance(node, nodes.Name) and node.name in names
    if isinstance(node, nodes.Getattr):
        return node.attr == key and _is_one_of(node.node, names, None)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return node.arg.value == key and _is_one_of(node.node, names, None)
    return False
