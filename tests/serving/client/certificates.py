"""Certificates of an authority that the tests make."""

from pathlib import Path

import trustme


def issue_certificate(folder: Path) -> None:
    """Writes `server.pem`, key and certificate of localhost, and `ca.pem` of its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
