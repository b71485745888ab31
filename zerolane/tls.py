"""The TLS options, tried before any process is started."""

from ipc.config import ServeConfig
from ipc.tls import server_context
from zerolane.options import BadOption


def check_tls(config: ServeConfig) -> None:
    """Raises BadOption."""
    if not config.ssl_certfile:
        for name in ("ssl_keyfile", "ssl_ca_certs"):
            if getattr(config, name):
                raise BadOption(f"argument --{name.replace('_', '-')}: needs --ssl-certfile")
        return
    try:
        server_context(config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadOption(
            f"argument --ssl-certfile: the certificate, key or authorities cannot be used: {reason}"
        ) from error
