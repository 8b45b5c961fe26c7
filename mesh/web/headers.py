"""Security headers: what keeps a browser from doing more with a response than it was meant for."""

from litestar.datastructures import ResponseHeader

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
"""The Content-Security-Policy of every response that does not bring its own."""

_FIXED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def security_headers(policy: str = STRICT) -> dict[str, str]:
    """The headers with a Content-Security-Policy, by name."""
    return {"Content-Security-Policy": policy, **_FIXED}


def response_headers(policy: str = STRICT) -> list[ResponseHeader]:
    """The same as Litestar's `response_headers`."""
    return [ResponseHeader(name=name, value=value) for name, value in security_headers(policy).items()]
