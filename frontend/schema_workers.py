"""The body of POST /admin/workers."""

from typing import Annotated

from msgspec import Meta, Struct


class ScaleRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many there should be of each; what is not given stays as it is."""

    workers: Annotated[int, Meta(ge=1, le=64)] | None = None
    spares: Annotated[int, Meta(ge=0, le=64)] | None = None
    pools: Annotated[int, Meta(ge=1, le=16)] | None = None
