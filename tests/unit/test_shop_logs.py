"""Logs as shops write them: understood, refused in words with a place, or left out with a reason; never in silence."""

import gzip
from datetime import UTC, datetime

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from mesh.shop_logs.account import Account, Reason
from mesh.shop_logs.style import Style, UnreadableLog
from ml.clickstream.log_files import from_file
from services.demo.replay.command import figures_of, print_verdict
from services.demo.replay.shop_log import read_log

HEADER = "event_time,event_type,product_id,user_id,price,user_session,brand\n"
GOOD = "2019-10-01 00:00:04 UTC,view,p1,u1,12.99,s1,acme\n"


def written(folder, content, name="log.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def line(time="2019-10-01", kind="view", price="12.99", user="u1"):
    return f"{time},{kind},p1,{user},{price},s1,acme\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", HEADER + GOOD),
        ("log.csv", "\ufeff" + HEADER + GOOD),
        ("log.csv", (HEADER + GOOD).replace("\n", "\r\n")),
        ("log.csv", (HEADER + GOOD).replace(",", ";")),
        ("log.csv", (HEADER + GOOD).replace(",", "|")),
        ("log.tsv", (HEADER + GOOD).replace(",", "\t")),
        ("LOG.CSV", HEADER + GOOD),
        ("log.csv.gz", gzip.compress((HEADER + GOOD).encode())),
        ("log.txt", HEADER + "\n" + GOOD + "\n\n"),
        ("log.csv", (HEADER + GOOD).encode("utf-16")),
        ("log.csv", (HEADER + GOOD.replace("acme", "Müller")).encode("latin-1")),
        (
            "log.csv",
            "Timestamp,Event,itemid,visitorid,Unit Price,Session-ID\n2019-10-01 00:00:04,view,p1,u1,12.99,s1\n",
        ),
    ],
    ids=["csv", "mark", "crlf", "semicolon", "bar", "tsv", "CSV", "gz", "blank", "utf-16", "latin-1", "other names"],
)
def test_files_as_tools_write_them(tmp_path, name, content):
    """Separator, encoding, compression, ending and names of columns are the file's own affair, for every reader."""
    path = written(tmp_path, content, name)

    (row,), steps = read_log(path).rows, from_file(path)

    assert (row.time, row.kind, row.product_id, row.user_id, row.price, row.session_id) == (
        datetime(2019, 10, 1, 0, 0, 4, tzinfo=UTC),
        "view",
        "p1",
        "u1",
        1299,
        "s1",
    )
    assert steps.select("visitor", "session", "at", "kind", "product", "price").row(0) == (
        "u1",
        "s1",
        row.time.timestamp(),
        "view",
        "p1",
        12.99,
    )


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2019-10-01", datetime(2019, 10, 1, tzinfo=UTC)),
        ("2019-10-01T02:00:04.250+02:00", datetime(2019, 10, 1, 0, 0, 4, 250_000, tzinfo=UTC)),
        ("2019/10/01 00:00", datetime(2019, 10, 1, tzinfo=UTC)),
        ("01.10.2019", datetime(2019, 10, 1, tzinfo=UTC)),
        ("01.10.2019 02:00:04 CEST", datetime(2019, 10, 1, 0, 0, 4, tzinfo=UTC)),
        ("10/31/2019 1:05 PM", datetime(2019, 10, 31, 13, 5, tzinfo=UTC)),
        ("10/31/2019 12:05:00 am", datetime(2019, 10, 31, 0, 5, tzinfo=UTC)),
        ("31/10/2019", datetime(2019, 10, 31, tzinfo=UTC)),
        ("1569888004", datetime(2019, 10, 1, 0, 0, 4, tzinfo=UTC)),
        ("1569888004250", datetime(2019, 10, 1, 0, 0, 4, 250_000, tzinfo=UTC)),
    ],
)
def test_times(tmp_path, time, expected):
    """A time that can be read in one way only is read that way; one without a zone is UTC."""
    reading = read_log(written(tmp_path, HEADER + line(time)))

    assert [row.time for row in reading.rows] == [expected]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("$12.99", 1299),
        ('"1.299,00"', 129_900),
        ('"1,299.00"', 129_900),
        ('"12,99 €"', 1299),
        ("EUR 5", 500),
        ("NULL", None),
        ("", None),
    ],
)
def test_prices(tmp_path, price, expected):
    """A price is a number however it is written; nothing is no price."""
    reading = read_log(written(tmp_path, HEADER + line(price=price)))

    assert [row.price for row in reading.rows] == [expected]
    assert reading.account.notes == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        ("", "is empty"),
        ("a,b\n1,2\n", "line 1: no column event_time, event_type, product_id, user_id; there are a, b"),
        ("a,a\n1,2\n", "line 1: column a is there more than once"),
        (b"PK\x03\x04", "ZIP archive"),
        (b"\0\1\2", "neither Parquet nor text"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (gzip.compress((HEADER + GOOD).encode())[:-9], "cannot be read: Compressed file ended"),
        (HEADER + line("01/10/2019"), "line 2: '01/10/2019' can be read .* --dates day-first or --dates month-first"),
        (HEADER + line("31/10/2019") + line("10/31/2019"), "line 2 has its day first, that of line 3 its month"),
        (HEADER + line(price='"1,299"'), "line 2: the comma in '1,299' can mean .* --decimal comma or --decimal point"),
    ],
    ids=["missing", "empty", "other", "twice", "zip", "binary", "cut", "cut gz", "date", "two orders", "comma"],
)
def test_what_cannot_be_understood_is_refused_in_words(tmp_path, content, words):
    """The message says where and why, and which option decides what can be read in two ways."""
    path = tmp_path / "log.csv" if content is None else written(tmp_path, content)

    with pytest.raises(UnreadableLog, match=words):
        read_log(path)


@pytest.mark.parametrize(("dates", "month"), [("day-first", 10), ("month-first", 1)])
def test_an_option_decides_between_two_readings(tmp_path, dates, month):
    """What the file leaves open is read as the option says."""
    path = written(tmp_path, HEADER + line("01/10/2019", price='"1,299"'))

    (row,) = read_log(path, style=Style(dates=dates, decimal="comma")).rows

    assert (row.time.month, row.price) == (month, 130)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (line("soon"), "the time cannot be read (line 3: 'soon')"),
        (line("2019-02-30"), "the time cannot be read (line 3: '2019-02-30')"),
        (line("2019-10-01 10:00 CST"), "the time cannot be read (line 3: '2019-10-01 10:00 CST')"),
        (line(""), "no event_time (line 3)"),
        (line(kind="wish"), "the event type is none of view, cart, remove_from_cart, purchase (line 3: 'wish')"),
        (line(user="NULL"), "no user_id (line 3)"),
        ("2019-10-01,view\n", "the row does not fit the header (line 3: '2 fields where the header has 7')"),
        (GOOD.strip() + ",1,2\n", "the row does not fit the header (line 3: '9 fields where the header has 7')"),
    ],
)
def test_a_row_that_is_left_out_is_accounted_for(tmp_path, bad, why):
    """The account has its reason, its line and what stood there; the rows around it are used."""
    reading = read_log(written(tmp_path, HEADER + GOOD + bad + GOOD))

    assert [str(reason) for reason in reading.account.left_out] == [f"1: {why}"]
    assert (reading.account.rows, reading.account.used, len(reading.rows)) == (3, 2, 2)
    assert reading.account.lines()[0] == "3 rows read, 2 used, 1 left out"


def test_lines_are_those_of_the_file(tmp_path):
    """A value that goes over two lines and blank lines do not shift the places that are named."""
    content = HEADER + GOOD.replace("acme", '"ac\nme"') + "\n" + line("soon")

    assert read_log(written(tmp_path, content)).account.left_out[0].places == ("line 5: 'soon'",)


def test_add_to_cart_has_other_names(tmp_path):
    """What other shops call putting into the cart and buying is that."""
    reading = read_log(written(tmp_path, HEADER + line(kind="addtocart") + line(kind="Transaction")))

    assert [row.kind for row in reading.rows] == ["cart", "purchase"]


def test_a_doubled_purchase_is_one(tmp_path):
    """A purchase row that stands in the file twice is no second order, and is said to be left out."""
    path = written(tmp_path, HEADER + line(kind="purchase") * 2 + line("2019-10-02", kind="purchase"))

    reading = read_log(path)

    assert [row.time.day for row in reading.rows] == [1, 2]
    assert [(reason.count, reason.places) for reason in reading.account.left_out] == [(1, ("line 3",))]


def test_an_unusable_price_is_noted(tmp_path):
    """The row is used without its price, and the account says so."""
    reading = read_log(written(tmp_path, HEADER + line(price="free")))

    assert [row.price for row in reading.rows] == [None]
    assert reading.account.notes == (
        "used all the same 1: the price cannot be used and counts as unknown (line 2: 'free')",
    )


def test_training_says_what_it_left_out(tmp_path):
    """The account of a log that training could not use whole is a warning."""
    path = written(tmp_path, HEADER + GOOD + line("soon"))

    with capture_logs() as logs:
        steps = from_file(path)

    assert len(steps) == 1
    assert [(one["log_level"], one["account"][0]) for one in logs] == [("warning", "2 rows read, 1 used, 1 left out")]


def test_the_verdict_is_about_the_rows_that_were_used():
    """Where rows were left out, the report does not stop at every promise being kept."""
    account = Account(rows=3, left_out=(Reason(why="no user_id", count=2, places=("line 3", "line 4")),))
    figures = dict.fromkeys(
        (
            "events_lost",
            "events_doubled",
            "wrong_sends",
            "duplicate_sends",
            "strange_mails",
            "undecided",
            "offers_open",
        ),
        0,
    )
    console = Console(record=True, width=120)

    print_verdict(console, figures | {"region_cut": {"lost": 0, "duplicated": 0}}, None, account)

    assert console.export_text().splitlines() == [
        "every promise was kept for the 1 of 3 rows that were used",
        "2 rows were left out, for the reasons at the top",
    ]
    assert figures_of(account)["left_out"] == {"no user_id": {"rows": 2, "first": ("line 3", "line 4")}}
