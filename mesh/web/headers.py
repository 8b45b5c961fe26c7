"""Security headers: what keeps a browser from doing more with a response than it was meant for."""

from litestar.datastructures import ResponseHeader

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
"""The Content-Security-Policy of every response that does not bring its own."""

_FIXED = {"X-Content-Type-Options": "nosniff"}


def security_headers(policy: str = STRICT, *, referrer: str = "no-referrer") -> dict[str, str]:
    """The headers with a Content-Security-Policy and a Referrer-Policy, by name."""
    return {"Content-Security-Policy": policy, "Referrer-Policy": referrer, **_FIXED}


def response_headers(policy: str = STRICT, *, referrer: str = "no-referrer") -> list[ResponseHeader]:
    """The same as Litestar's `response_headers`.

    Pages whose forms are checked for their origin need `same-origin`: with `no-referrer` browsers send `Origin: null`
    (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
    """
    return [
        ResponseHeader(name=name, value=value) for name, value in security_headers(policy, referrer=referrer).items()
    ]
