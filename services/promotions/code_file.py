"""Code file: the codes in a CSV file, and what is wrong with it, line by line. Pure."""

import csv
import unicodedata
from collections.abc import Mapping

import msgspec

from services.promotions.code_key import LONGEST, code_id, normalised

MOST_CODES = 1_000_000
SHORTEST = 4
"""Codes of fewer signs are guessed at once."""
HEADINGS = ("code", "codes", "coupon", "coupon code", "voucher", "voucher code", "gutschein", "gutscheincode")
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class WrongLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot be taken, from 1, and why."""

    line: int
    reason: str


class CodeFile(msgspec.Struct, frozen=True, kw_only=True):
    """The codes that can be taken, in their order, and the lines that cannot."""

    codes: tuple[str, ...]
    wrong: tuple[WrongLine, ...]


def read_codes(body: bytes) -> CodeFile:
    """The codes of a file: one in each line, in the column `code` or the first one; UTF-8, or UTF-16 with its mark.

    Nothing is guessed: a line in another encoding is wrong, and says so.
    """
    text, wrong = _decoded(body)
    codes: list[str] = []
    seen: dict[str, int] = {}
    column, began = 0, False
    for line, cells in enumerate(csv.reader(text, delimiter=_separator(text)), 1):
        if line in wrong or not any(cell.strip() for cell in cells):
            continue
        names = [cell.strip().casefold() for cell in cells]
        if not began and (heading := next((one for one in HEADINGS if one in names), None)):
            began, column = True, names.index(heading)
            continue
        began = True
        code = cells[column].strip() if column < len(cells) else ""
        problem = _problem(code)
        key = code_id(code)
        if not problem and key in seen:
            problem = f"{code} stands in line {seen[key]}, too"
        if not problem and len(codes) >= MOST_CODES:
            problem = f"a file has at most {MOST_CODES:,} codes"
        if problem:
            wrong[line] = problem
            continue
        seen[key] = line
        codes.append(code)
    return CodeFile(codes=tuple(codes), wrong=_lines(wrong))


def without_known(file: CodeFile, known: Mapping[str, str]) -> CodeFile:
    """The file without codes that are known: key -> where they stand. Their lines are not known any more."""
    taken = [code for code in file.codes if code_id(code) in known]
    wrong = tuple(WrongLine(line=0, reason=f"{one} is known already, from {known[code_id(one)]}") for one in taken)
    kept = tuple(code for code in file.codes if code_id(code) not in known)
    return CodeFile(codes=kept, wrong=(*file.wrong, *wrong))


def _decoded(body: bytes) -> tuple[list[str], dict[int, str]]:
    """The file's lines, and those that are in another encoding."""
    encoding = next((name for mark, name in BOMS.items() if body.startswith(mark)), "utf-8")
    if encoding == "utf-16":
        try:
            return body.decode("utf-16").splitlines(), {}
        except UnicodeDecodeError:
            return [], {1: "begins like UTF-16 and is none: save the file as UTF-8"}
    lines: list[str] = []
    wrong: dict[int, str] = {}
    for at, line in enumerate(body.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            lines.append("")
            wrong[at] = f"is not UTF-8 (byte {error.start + 1}): save the file as UTF-8"
    return lines, wrong


def _separator(lines: list[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=first.count)


def _problem(code: str) -> str:
    if not code:
        return "has no code"
    if len(code) > LONGEST:
        return f"the code is longer than {LONGEST} signs"
    if any(unicodedata.category(sign).startswith("C") for sign in code):
        return "the code has signs that cannot be printed"
    if "/" in code:
        return f"{code} has a slash, which cannot stand in an address"
    if len(normalised(code)) < SHORTEST:
        return f"{code} is shorter than {SHORTEST} signs, so that it would be guessed"
    return ""


def _lines(wrong: dict[int, str]) -> tuple[WrongLine, ...]:
    return tuple(WrongLine(line=line, reason=wrong[line]) for line in sorted(wrong))
