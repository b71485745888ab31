"""/docs: the API's description as one plain page, without scripts and without anything loaded from elsewhere, so that
it works offline and behind every proxy."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h2 { margin-top: 2.5rem }
details { border-top: 1px solid #ddd; padding: .4rem 0 }
summary { cursor: pointer }
code, .method { font-family: ui-monospace, monospace; font-size: .92em }
.method { display: inline-block; width: 4.5em }
table { border-collapse: collapse; margin: .6rem 0 }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
th { font-weight: 600; border-bottom: 1px solid #ddd }
section:target { background: #fff8e0 }
"""
_BOUNDS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
    ("minLength", "characters: at least"),
    ("maxLength", "characters: at most"),
    ("minItems", "items: at least"),
    ("maxItems", "items: at most"),
)


def docs_page(document: Json) -> str:
    """HTML of an OpenAPI document."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>',
        *_operations(document["paths"]),
        "<h2>Schemas</h2>",
        *(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
    ]
    return "\n".join(parts) + "\n"


def _operations(paths: Json) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    for tag, operations in by_tag.items():
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        yield from operations


def _operation(method: str, path: str, operation: Json) -> str:
    body = operation.get("requestBody")
    rows = [
        (status, escape(reply["description"]), _contents(reply)) for status, reply in operation["responses"].items()
    ]
    parameters = [
        (f"<code>{escape(one['name'])}</code>", one["in"], _type(one["schema"])) for one in operation["parameters"]
    ]
    return "\n".join(
        [
            f'<details><summary><span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
            f"— {escape(operation['summary'])}</summary>",
            f"<p>Body: {_contents(body)}</p>" if body else "",
            _table(("parameter", "in", "type"), parameters),
            _table(("status", "meaning", "reply"), rows),
            "</details>",
        ]
    )


def _contents(holder: Json) -> str:
    kinds = [f"{escape(media)}: {_type(content['schema'])}" for media, content in holder["content"].items()]
    return "<br>".join(kinds)


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", [])
    rows = [
        (f"<code>{escape(field)}</code>", "required" if field in required else "", _type(one))
        for field, one in schema.get("properties", {}).items()
    ]
    what = escape(schema.get("description", ""))
    table = _table(("field", "", "type"), rows) if rows else f"<p>{_type(schema)}</p>"
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3><p>{what}</p>{table}</section>'


def _type(schema: Json) -> str:
    """HTML for one type: "integer (at least 1, at most 128) or null"."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", [schema.get("const")]))
    bounds = ", ".join(f"{words} {schema[key]}" for key, words in _BOUNDS if key in schema)
    kind = escape(str(schema.get("type", "anything")))
    if isinstance(schema.get("items"), dict) and schema["items"]:
        kind += f" of {_type(schema['items'])}"
    return f"{kind} ({escape(bounds)})" if bounds else kind


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
