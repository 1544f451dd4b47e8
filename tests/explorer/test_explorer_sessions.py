"""What a visit leaves behind in the server: nothing."""

import asyncio
import gc
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

import largen as ln
from largen.explorer import server as explorer_server
from largen.explorer.beginnings import Beginning
from largen.explorer.jobs import Jobs
from largen.explorer.page import Page
from largen.explorer.server import Served, made_server
from largen.explorer.solvers import Here, Solvers
from largen.explorer.store import Store
from largen.io.model_files import read_model

KINDS = (Page, Document, ColumnDataSource)


def counted():
    gc.collect()
    found = dict.fromkeys(KINDS, 0)
    for one in gc.get_objects():
        for kind in KINDS:
            found[kind] += type(one) is kind
    return found


async def opened(port):
    """A tab without a browser: the page, and the websocket that it opens."""
    client = AsyncHTTPClient()
    page = await client.fetch(f"http://127.0.0.1:{port}/", request_timeout=60)
    token = re.search(r'"token":"([^"]+)"', page.body.decode())[1]
    request = HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": f"http://127.0.0.1:{port}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", token])
    assert "ACK" in await asyncio.wait_for(socket.read_message(), 60)
    return socket


# Tornado asks for the current event loop before there is one, of which Python 3.12 and 3.13 warn.
pytestmark = pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer_server, "CLOSED", 50)
    model = read_model("correlated")
    store, limit = Store(tmp_path), ln.solve_limit(model, np.arange(21.0), lags=5)
    beginning = Beginning("rate", store, model, "correlated", limit)
    shared = Served(Jobs(), Here(), store, {"rate": beginning})
    server, looks = made_server({"/": beginning}, shared, 0, "127.0.0.1")
    server.start()
    yield SimpleNamespace(server=server, loop=server.io_loop, port=server.port)
    looks.stop()
    server.stop()
    server.unlisten()


def pages():
    return [one for one in gc.get_objects() if type(one) is Page]


def visits(served, count, kept=None):
    """Open and close tabs one after the other; the server then has as many sessions as before."""

    async def go():
        before = len(served.server.get_sessions())
        for _ in range(count):
            there = pages()
            socket = await opened(served.port)
            assert len(served.server.get_sessions()) > before
            if kept is not None:
                kept.extend(page for page in pages() if not any(page is one for one in there))
            del there
            socket.close()
        for _ in range(100):
            await asyncio.sleep(0.1)
            if len(served.server.get_sessions()) == before:
                return
        raise AssertionError(f"{len(served.server.get_sessions())} sessions are still there")

    served.loop.run_sync(go)


def test_closed_tabs_leave_no_session_page_document_or_data_behind(served):
    visits(served, 1)  # what is made once stays
    before = counted()
    visits(served, 2)
    assert counted() == before
    kept = []
    visits(served, 1, kept)  # a fault that holds a page is caught
    assert counted()[Page] == before[Page] + 1


class Resting(Here):
    """Counts how often it was told to rest and to wake."""

    def __init__(self):
        self.told = []

    def rest(self):
        self.told.append("rest")

    def wake(self):
        self.told.append("wake")


def test_the_solving_processes_rest_while_nobody_is_here_and_wake_with_the_next_page(monkeypatch):
    monkeypatch.setattr(explorer_server, "REST", 0.05)
    sessions, solver = [], Resting()
    tab = SimpleNamespace(id="one", connection_count=1, milliseconds_since_last_unsubscribe=1.0)
    server = SimpleNamespace(get_sessions=lambda: sessions)
    looks = explorer_server._Looks(server, SimpleNamespace(jobs=Jobs(), solver=solver))
    looks.look()
    sessions.append(tab)
    time.sleep(0.1)
    looks.look()
    assert solver.told == []  # a page is open
    sessions.clear()
    for _ in range(2):
        time.sleep(0.06)
        looks.look()
    assert solver.told == ["rest"]
    sessions.append(tab)
    looks.look()
    looks.look()
    assert solver.told == ["rest", "wake"]


def test_the_solving_processes_start_once_a_page_has_been_drawn_with_what_that_page_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer_server, "DRAWN", 0.05)
    told = []
    solver = SimpleNamespace(warm=lambda questions: told.append([args[0] for _, args in questions]), wake=lambda: None)
    context = SimpleNamespace(request=SimpleNamespace(path="/rate"))
    tab = SimpleNamespace(
        id="one", connection_count=0, milliseconds_since_last_unsubscribe=1.0,
        document=SimpleNamespace(session_context=context),
    )  # fmt: skip
    store = Store(tmp_path)
    shared = SimpleNamespace(
        jobs=Jobs(), solver=solver, beginnings={name: Beginning(name, store) for name in ("spiking", "rate")}
    )
    looks = explorer_server._Looks(SimpleNamespace(get_sessions=lambda: [tab]), shared)
    for count in (0, 1):
        tab.connection_count = count
        looks.look()
        time.sleep(0.06)
        assert told == []
    looks.look()
    looks.look()
    assert told == [["rate", "spiking"]]


@pytest.mark.long
def test_a_process_that_rests_is_gone_and_another_answers_after_it_wakes():
    solvers, loop = Solvers(count=1), IOLoop()
    try:
        solvers.attach(loop)
        solvers.wake()
        first = solvers._workers[0].process
        solvers.rest()
        first.join(20)
        assert not first.is_alive()
        assert solvers._workers == []
        came = []
        solvers.ask("me", len, ("abc",), came.append)
        solvers.wake()
        deadline = loop.time() + 60
        while not came and loop.time() < deadline:
            loop.run_sync(lambda: asyncio.sleep(0.05))
        assert came[0].content == 3
    finally:
        solvers.close()
        loop.close()
