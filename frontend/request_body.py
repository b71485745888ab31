"""From the bytes of a body to a typed request: every way this can fail names the field that is at fault."""

import re
from typing import Any, TypeVar

import msgspec

from frontend.unsupported_fields import refuse_unsupported
from ipc.errors import ErrorCode, RequestError

Request = TypeVar("Request")

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def check_content_type(content_type: str | None) -> None:
    """JSON, with any charset parameter, or no header at all. Raises RequestError otherwise."""
    if content_type and content_type.split(";", 1)[0].strip().lower() != "application/json":
        message = "Unsupported Content-Type: only 'application/json' is allowed."
        raise RequestError(ErrorCode.INVALID_REQUEST, message)


def decode_body(body: bytes, schema: type[Request], unsupported: dict[str, tuple[Any, ...]]) -> Request:
    """The typed request. Raises RequestError for invalid JSON, and for wrong, missing and unsupported fields."""
    fields = _decode_json(body, schema)
    refuse_unsupported(fields, unsupported)
    try:
        return msgspec.convert(fields, schema)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from None
    except RecursionError:
        raise _too_deep() from None


def _decode_json(body: bytes, schema: type[Any]) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise _invalid_json(str(error), body, schema) from None
    except UnicodeDecodeError:
        raise RequestError(ErrorCode.INVALID_REQUEST, "The body is not valid JSON: it is not UTF-8 text.") from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(fields, dict):
        raise RequestError(ErrorCode.INVALID_REQUEST, "The body must be a JSON object.")
    return fields


def _invalid_json(text: str, body: bytes, schema: type[Any]) -> RequestError:
    """A number out of range (1e999) is only said to be somewhere in `$[...]`: the schema knows the field's name."""
    match = _PLACE.match(text)
    what, path = (match["what"], match["path"]) if match else (text, None)
    if path:
        try:
            msgspec.json.decode(body, type=schema)
        except msgspec.DecodeError as error:
            return invalid_field(str(error))
        except (RecursionError, UnicodeDecodeError):  # further on: what was wrong first is told
            pass
    return RequestError(ErrorCode.INVALID_REQUEST, f"The body is not valid JSON: {what}.")


def _too_deep() -> RequestError:
    return RequestError(
        ErrorCode.INVALID_REQUEST, "The body is not valid JSON for this server: it is nested too deeply."
    )


def invalid_field(text: str, inside: str = "") -> RequestError:
    """Turns "Expected `str`, got `int` - at `$.messages[0].role`" into a sentence and the param "messages[0].role".
    `inside`: the path of what `$` stands for, when that is not the body."""
    match = _PLACE.match(text)
    what, path = (match["what"], match["path"] or "$") if match else (text, "$")
    param = (inside + path.removeprefix("$")).removeprefix(".")
    missing = _MISSING.search(what)
    if missing:
        param = f"{param}.{missing['field']}" if param else missing["field"]
        return RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}'.", param)
    sentence = what.replace("`", "'")
    where = f"Invalid value for '{param}': " if param else ""
    return RequestError(ErrorCode.INVALID_REQUEST, f"{where}{sentence}.", param or None)
