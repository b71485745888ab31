"""The TLS options are tried at the start, so that a mistake is told to the operator and not to every client."""

from pathlib import Path

import pytest

from ipc.config import ServeConfig
from tests.support.certificates import Certificates, write_certificates
from zerolane.options import BadOption
from zerolane.tls import check_tls


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


def test_what_can_be_used(files: Certificates) -> None:
    check_tls(ServeConfig())
    check_tls(ServeConfig(ssl_certfile=str(files.server)))
    check_tls(ServeConfig(ssl_certfile=str(files.server), ssl_keyfile=str(files.server)))
    check_tls(ServeConfig(ssl_certfile=str(files.server), ssl_ca_certs=str(files.authority)))


def test_what_cannot(files: Certificates, tmp_path: Path) -> None:
    server, other = str(files.server), str(files.client)
    none, no_pem = str(tmp_path / "none"), tmp_path / "text"
    no_pem.write_text("no certificate")
    for config in (
        ServeConfig(ssl_keyfile=server),
        ServeConfig(ssl_ca_certs=str(files.authority)),
        ServeConfig(ssl_certfile=none),
        ServeConfig(ssl_certfile=str(no_pem)),
        ServeConfig(ssl_certfile=server, ssl_keyfile=other),
        ServeConfig(ssl_certfile=str(files.authority)),
        ServeConfig(ssl_certfile=server, ssl_ca_certs=none),
        ServeConfig(ssl_certfile=server, ssl_ca_certs=str(no_pem)),
    ):
        with pytest.raises(BadOption, match="argument --ssl-"):
            check_tls(config)


def test_a_key_with_a_password_is_refused_instead_of_asking_for_it(files: Certificates, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(files.server.read_bytes(), None)
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(BadOption, match="password"):
        check_tls(ServeConfig(ssl_certfile=str(files.server), ssl_keyfile=str(path)))
