"""Coupons and links: unique, repeatable, and not to be forged."""

import string

from hypothesis import given
from hypothesis import strategies as st

from notifications import coupon
from notifications.unsubscribe_token import LinkSettings, Unsubscription, link, sign, verify

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=128)


def test_coupons_are_unique_and_the_same_again():
    """Ten thousand offers, ten thousand codes; another secret gives others."""
    codes = {coupon.code(f"offer-{at}", "s", "BACK") for at in range(10_000)}

    assert len(codes) == 10_000
    assert coupon.code("offer-1", "s", "BACK") in codes
    assert coupon.code("offer-1", "t", "BACK") not in codes


@given(names, st.integers(0, 11), st.sampled_from(coupon.ALPHABET))
def test_one_wrong_sign_is_found_before_any_look_up(offer, at, sign_):
    """The check sign catches every single mistake."""
    code = coupon.code(offer, "secret")
    signs = list(code.replace("-", ""))
    same = signs[at] == sign_
    signs[at] = sign_
    typed = "-".join("".join(signs[start : start + 4]) for start in (0, 4, 8))

    assert coupon.is_well_formed(code.lower())
    assert coupon.is_well_formed(typed) == same


@given(names, names)
def test_a_token_means_what_was_signed_and_holds_no_address(visitor, offer):
    """Round trip, under this secret only."""
    leave = Unsubscription(visitor_id=visitor, channel="email", offer_id=offer)
    token = sign(leave, "secret")

    assert verify(token, "secret") == leave
    assert verify(token, "other") is None
    assert (
        link(leave, LinkSettings(url_links="https://x.test/", secret="secret")) == f"https://x.test/unsubscribe/{token}"
    )


@given(st.text(max_size=200))
def test_anything_else_is_no_token(text):
    """No error, no meaning."""
    assert verify(text, "secret") is None


@given(names, st.data())
def test_a_changed_token_is_no_token(visitor, data):
    """Every sign counts."""
    token = sign(Unsubscription(visitor_id=visitor, channel="email", offer_id="o"), "secret")
    at = data.draw(st.integers(0, len(token) - 2))
    other = "A" if token[at] != "A" else "B"

    assert verify(token[:at] + other + token[at + 1 :], "secret") is None
