"""An authority of the test's own, and certificates it signed."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form. `server` and `client` hold key and certificate together."""

    authority: Path
    server: Path  # for 127.0.0.1 and localhost
    client: Path
    stranger: Path  # a client's, of an authority nobody knows


def write_certificates(folder: Path) -> Certificates:
    """Makes them in `folder`."""
    authority = trustme.CA()
    found = Certificates(folder / "ca.pem", folder / "server.pem", folder / "client.pem", folder / "stranger.pem")
    authority.cert_pem.write_to_path(found.authority)
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(found.server)
    authority.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(found.client)
    trustme.CA().issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(found.stranger)
    return found
