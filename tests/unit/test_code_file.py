"""A file of codes: what can be taken is, and every line that cannot says why."""

import pytest

from services.promotions.code_file import WrongLine, read_codes, without_known
from services.promotions.code_key import code_id
from services.promotions.code_lists import divided


@pytest.mark.parametrize(
    "body",
    [
        b"SUMMER-1\nSUMMER-2\n",
        b"\xef\xbb\xbfcode\r\nSUMMER-1\r\n\r\nSUMMER-2\r\n",
        "code\nSUMMER-1\nSUMMER-2".encode("utf-16"),
        b"id;Coupon Code;note\n1; SUMMER-1 ;a\n2;SUMMER-2;b",
        b'"SUMMER-1","first"\n"SUMMER-2","second"\n',
    ],
)
def test_codes_are_found_however_the_file_was_saved(body):
    """With a mark at its beginning, in UTF-16, with other columns, quoted, with blank lines."""
    assert read_codes(body).codes == ("SUMMER-1", "SUMMER-2")
    assert read_codes(body).wrong == ()


def test_each_wrong_line_says_why():
    """Duplicates name the line of the first; nothing is guessed about an encoding."""
    lines = [
        "SUMMER-1",
        "summer 1",
        "x" * 65,
        "ab",
        "S\u00dcMMER".encode("latin-1"),
        "A/B-1234",
        "SUMMER\x07-2",
        ";",
        "GOOD-2",
    ]
    body = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in lines)

    file = read_codes(body)

    assert file.codes == ("SUMMER-1", "GOOD-2")
    assert [(one.line, one.reason) for one in file.wrong] == [
        (2, "summer 1 stands in line 1, too"),
        (3, "the code is longer than 64 signs"),
        (4, "ab is shorter than 4 signs, so that it would be guessed"),
        (5, "is not UTF-8 (byte 2): save the file as UTF-8"),
        (6, "A/B-1234 has a slash, which cannot stand in an address"),
        (7, "the code has signs that cannot be printed"),
        (8, "; is shorter than 4 signs, so that it would be guessed"),
    ]


def test_a_file_that_is_no_text_is_wrong_and_known_codes_are_left_out():
    """A picture has no codes; a code of another list says which."""
    assert read_codes(b"\xff\xfe\x00").wrong[0].reason.endswith("save the file as UTF-8")
    assert read_codes(b"").codes == ()
    file = without_known(read_codes(b"SUMMER-1\nGOOD-2"), {code_id("SUMMER-1"): "spring"})
    assert (file.codes, file.wrong) == (
        ("GOOD-2",),
        (WrongLine(line=0, reason="SUMMER-1 is known already, from spring"),),
    )


def test_a_codes_region_follows_from_the_code_alone():
    """Whatever else is in the file and however the code is written; and each region gets about as many."""
    codes = [f"SUMMER-{n}" for n in range(3000)]

    parts = divided(codes, ("us", "eu", "ap"))

    assert sorted(code for part in parts.values() for code in part) == sorted(codes)
    assert divided(["summer 7"], ("ap", "us", "eu")) == {
        region: ["summer 7"] if "SUMMER-7" in part else [] for region, part in parts.items()
    }
    assert all(900 < len(part) < 1100 for part in parts.values())
