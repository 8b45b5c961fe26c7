"""Certificates: a certificate authority for tests and first steps, and certificates for every region's servers.

For production let cert-manager or your own authority do this: here the authority's key lies beside the rest.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.topology.derive.helm import names
from mesh.topology.derive.servers import Certificates
from mesh.topology.mesh_toml import Topology

AUTHORITY_LASTS = timedelta(days=3650)
LOCAL = ("localhost", "127.0.0.1", "::1")


def certificates(topology: Topology, folder: Path, *, lasting: timedelta) -> dict[str, Certificates]:
    """Make a certificate for each region's servers and one for `client`, in folders below.

    The authority is `ca.crt` in the folder; one that is there is kept. Each certificate is valid from now for
    `lasting`, which may be negative in tests. Returns the files by region, and `client`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = _Authority.kept(folder)
    wanted = {region.name: [*names(region), *LOCAL] for region in topology.regions} | {"client": ["cartmesh"]}
    return {name: authority.issue(folder / name, name, known, lasting) for name, known in wanted.items()}


class _Authority:
    """A certificate and the key that signs with it."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate, self.key = certificate, key

    @staticmethod
    def kept(folder: Path) -> "_Authority":
        """The one in a folder; made when there is none."""
        if (folder / "ca.key").exists():
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(f"{folder / 'ca.key'} is no key that was made here")
            return _Authority(x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()), key)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Cartmesh test authority")
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + AUTHORITY_LASTS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        _write(folder / "ca.key", _key(key))
        _write(folder / "ca.crt", _certificate(made))
        return _Authority(made, key)

    def issue(self, folder: Path, name: str, known: Sequence[str], lasting: timedelta) -> Certificates:
        """A key and a certificate for these names and addresses, good for both ends of a connection."""
        folder.mkdir(exist_ok=True)
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        alternatives: list[x509.GeneralName] = []
        for one in dict.fromkeys(known):
            address = _address(one)
            alternatives.append(x509.IPAddress(address) if address else x509.DNSName(one))
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + min(lasting, timedelta(0)) - timedelta(days=1))
            .not_valid_after(now + lasting)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )
        files = Certificates.below(str(folder))
        _write(Path(files.key), _key(key))
        _write(Path(files.certificate), _certificate(made))
        _write(Path(files.ca), _certificate(self.certificate))
        return files


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _name(common: str) -> x509.Name:

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key(key: ec.EllipticCurvePrivateKey) -> bytes:

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(made: x509.Certificate) -> bytes:

    return made.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, text: bytes) -> None:
    """Keys are for their owner alone."""
    mode = 0o600 if path.suffix == ".key" else 0o644
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text)
