"""Coupons and links: unique, repeatable, and not to be forged."""

import string
from base64 import urlsafe_b64decode

from hypothesis import given
from hypothesis import strategies as st

from mesh.web import sealed_token
from notifications import coupon
from notifications.unsubscribe_token import LinkSettings, Unsubscription, link, seal, unseal

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
def test_a_token_means_what_was_sealed_and_holds_no_address(visitor, offer):
    """Round trip, under this secret only."""
    leave = Unsubscription(visitor_id=visitor, channel="email", offer_id=offer)
    token = seal(leave, "secret")

    assert unseal(token, "secret") == leave
    assert unseal(token, "other") is None
    assert (
        link(leave, LinkSettings(url_links="https://x.test/", secret="secret")) == f"https://x.test/unsubscribe/{token}"
    )


@given(st.text(max_size=200))
def test_anything_else_is_no_token(text):
    """No error, no meaning."""
    assert unseal(text, "secret") is None


@given(names, st.data())
def test_a_changed_token_is_no_token(visitor, data):
    """Every sign counts."""
    token = seal(Unsubscription(visitor_id=visitor, channel="email", offer_id="o"), "secret")
    at = data.draw(st.integers(0, len(token) - 1))
    other = "A" if token[at] != "A" else "B"

    assert unseal(token[:at] + other + token[at + 1 :], "secret") is None


def test_a_token_shows_nobody_whose_it_is():
    """A mail is forwarded: whoever reads its link learns no visitor id, which opens that visitor's offers."""
    token = seal(Unsubscription(visitor_id="visitor-of-ada", channel="email", offer_id="offer-7"), "secret")
    readable = b"".join(urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))

    assert [one for one in (b"visitor-of-ada", b"offer-7", b"email") if one in readable] == []


def test_links_that_were_sent_before_the_secret_changed_still_work():
    """The new secret seals, the one before opens; a third does not, and no secret at all opens nothing."""
    leave = Unsubscription(visitor_id="v", channel="email", offer_id="o")

    assert unseal(seal(leave, "before"), "now", "before") == leave
    assert unseal(seal(leave, "before"), "now", "") is None
    assert seal(leave, "before") != seal(leave, "now")


def test_a_token_of_another_purpose_is_none():
    """One secret seals many kinds of links, and none passes for another."""
    leave = Unsubscription(visitor_id="v", channel="email", offer_id="o")

    assert unseal(sealed_token.seal(leave, purpose="preview", secret="secret"), "secret") is None
