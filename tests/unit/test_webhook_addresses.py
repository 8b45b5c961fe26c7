"""Which addresses webhooks may go to, and that none is connected to that was not judged."""

import asyncio
import socket
import ssl
from datetime import timedelta
from ipaddress import ip_address

import httpcore
import pytest
import trustme

from mesh.web.addresses import refusal
from mesh.web.checked_network import AddressRefused, CheckedNetwork
from mesh.web.endpoint_client import EndpointClient
from tests.partner_endpoint import opened_endpoint

BOUNDS = {"connect": timedelta(seconds=5), "deadline": timedelta(seconds=15)}
REFUSED = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1
192.168.255.255 169.254.169.254 169.254.170.2 100.64.0.1 100.100.100.200 100.127.255.255 168.63.129.16
192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8
::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::
2002:a9fe:a9fe:: 2002:808:808:: 3ffe::1 3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0
febf::1 fec0::1 feff::1 ff02::1 ff0e::1 2620:4f:8000::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.0.1
172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
2001:4860:4860::8888 2606:4700::1111 2400:cb00::1 2a00:1450:4001::1
"""


@pytest.mark.parametrize("address", REFUSED.split())
def test_what_is_not_public_is_refused(address):
    """Private, local, shared, special and multicast addresses, and those of IPv6 that stand for one of IPv4."""
    assert refusal(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_what_is_public_is_not(address):
    """Also right beside what is refused."""
    assert refusal(address) is None


def test_the_list_refuses_more_than_what_python_calls_private():
    """These are global to Python, and lead into one's own network where a gateway or relay stands."""
    taken = [address for address in REFUSED.split() if "%" not in address and ip_address(address).is_global]

    assert {"64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "ff0e::1"} <= set(taken)


@pytest.fixture
def names(monkeypatch):
    """What names lead to: a list of answers for each, the last of which stays."""
    answers, asked = {}, []

    def getaddrinfo(host, *_, **__):
        asked.append(host)
        found = answers[host]
        addresses = found.pop(0) if len(found) > 1 else found[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in addresses]

    monkeypatch.setattr("mesh.web.checked_network.socket.getaddrinfo", getaddrinfo)
    return answers, asked


async def test_a_name_that_leads_inside_is_not_connected_to(names):
    """Neither the first nor any further of its addresses; the reason names it."""
    answers, _ = names
    answers |= {"inside.example": [["127.0.0.1"]], "both.example": [["93.184.215.14", "10.0.0.1"]]}
    network = CheckedNetwork()

    for name in answers:
        with pytest.raises(AddressRefused, match="which is not public"):
            await network.connect_tcp(name, 443, timeout=2)


async def test_a_name_that_leads_elsewhere_a_moment_later_is_connected_to_where_it_was_judged(names, monkeypatch):
    """Between judging and connecting nobody is asked again: the connection is to the address itself."""
    names[0]["rebound.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    connected = []

    async def open_connection(host, port, **_):
        connected.append(host)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    network = CheckedNetwork()

    for _ in range(2):
        with pytest.raises(httpcore.ConnectError):
            await network.connect_tcp("rebound.example", 443, timeout=2)

    assert connected == ["93.184.215.14"] * 2
    assert names[1] == ["rebound.example"]


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "localhost", "[::1]"])
async def test_other_ways_to_write_an_address_lead_nowhere(host):
    """The system's resolver reads them; what it finds is judged."""
    client = EndpointClient(CheckedNetwork(), ssl.create_default_context(), **BOUNDS)

    response = await client.send(f"http://{host}:9/", {}, b"")

    assert not response.delivered
    assert "not public" in response.error or "no address" in response.error


async def test_a_name_server_that_does_not_answer_is_asked_once_and_keeps_nobody_waiting(monkeypatch):
    """Each name is asked for by one thread, whoever else wants it; the connection's own deadline holds."""
    asked = []

    def getaddrinfo(host, *_, **__):
        import time

        asked.append(host)
        time.sleep(0.5)
        return []

    monkeypatch.setattr("mesh.web.checked_network.socket.getaddrinfo", getaddrinfo)
    network = CheckedNetwork()

    outcomes = await asyncio.gather(
        *(network.connect_tcp("silent.example", 443, timeout=0.05) for _ in range(20)), return_exceptions=True
    )

    assert {type(one) for one in outcomes} == {httpcore.ConnectTimeout}
    assert asked == ["silent.example"]


async def test_the_certificate_is_of_the_name_although_the_address_is_connected_to(names):
    """TLS is verified: a right certificate is taken, one of another name or another authority is not."""
    authority, stranger = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    answers, _ = names
    answers |= {name: [["127.0.0.1"]] for name in ("partner.example", "other.example")}
    found = {}
    for issuer, name in ((authority, "partner.example"), (authority, "other.example"), (stranger, "partner.example")):
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert("partner.example").configure_cert(serving)
        async with opened_endpoint(serving) as endpoint:
            client = EndpointClient(CheckedNetwork(private=True), trusting, **BOUNDS)
            response = await client.send(f"https://{name}:{endpoint.port}/hook", {}, b"{}")
            found[issuer is authority, name] = (response.status, response.error, len(endpoint.requests))
            await client.close()

    assert found[True, "partner.example"] == (200, None, 1)
    assert (found[True, "other.example"][0], found[True, "other.example"][2]) == (None, 0)
    assert "certificate verify failed" in found[True, "other.example"][1]
    assert "certificate verify failed" in found[False, "partner.example"][1]
