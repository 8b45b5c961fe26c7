"""Trust: whose certificates a client believes, and which it shows."""

import ssl

import msgspec

from mesh.errors import TopologyError


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM: CARTMESH_NATS_CA signed the servers' certificates, CARTMESH_NATS_CERTIFICATE and _KEY are ours.

    Without a CA the system's authorities count. The address decides whether TLS is used: `tls://` requires it.
    """

    nats_ca: str = ""
    nats_certificate: str = ""
    nats_key: str = ""

    def context(self) -> ssl.SSLContext | None:
        """What a connection needs to speak TLS, or None where nothing is set. TopologyError names a bad file."""
        if self == Trust():
            return None
        try:
            context = ssl.create_default_context(cafile=self.nats_ca or None)
            if self.nats_certificate:
                context.load_cert_chain(self.nats_certificate, self.nats_key or None)
        except OSError as error:  # SSLError is one
            files = ", ".join(filter(None, (self.nats_ca, self.nats_certificate, self.nats_key)))
            raise TopologyError(f"cannot use the certificates in {files}: {error}") from error
        return context
