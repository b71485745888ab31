"""Where a bug inside one request ends: at the request's border, as one error for its client. A panic in Rust code (the
tokenizers library) is no Exception in Python's sense, and must end there too."""

import asyncio

# BaseExceptions that must pass every border
NOT_BUGS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
