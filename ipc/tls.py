"""HTTPS: the certificate and the key as Python's ssl wants them. The supervisor tries them before anything starts, each
frontend loads them."""

import ssl


def server_context(certfile: str, keyfile: str, ca_certs: str) -> ssl.SSLContext:
    """TLS 1.2 or later. With `ca_certs` only clients that show a certificate of theirs get in.

    Raises OSError (ssl.SSLError is one): a file is missing, or is not what it should be. A key that needs a password is
    refused instead of asking for it on the terminal.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile or None, password=_no_password)
    context.set_alpn_protocols(["http/1.1"])
    if ca_certs:
        context.load_verify_locations(cafile=ca_certs)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise OSError("the key is protected by a password, which no one can type when a server starts")
