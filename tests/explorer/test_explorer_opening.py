"""The opening of a page: the model's picture, sent before there is a session."""

import asyncio
import re
import urllib.parse
from types import SimpleNamespace

import numpy as np
import pytest
from panel.io.resources import Resources, bundle_resources
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

import largen as ln
from largen.explorer import opening, server
from largen.explorer.beginnings import Beginning
from largen.explorer.jobs import Jobs
from largen.explorer.picture import picture_of
from largen.explorer.solvers import Here
from largen.explorer.store import Store
from largen.io.model_files import read_model

# Tornado asks for the current event loop before there is one, of which Python 3.12 and 3.13 warn.
pytestmark = pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")


def html_of(query, system="spiking", tmp_path=None):
    return opening.opening_html(Beginning(system, Store(tmp_path)), ["spiking", "rate"], ["one.js"], query)


@pytest.mark.parametrize(
    ("query", "model", "n"),
    [
        ({}, lambda: read_model("gamma"), 400),
        ({"strength[e,i]": "1.5", "n": "800"}, lambda: read_model("gamma").replace(**{"strength[e,i]": 1.5}), 800),
        ({"example": "ring"}, lambda: read_model("ring"), 40_000),
        ({"strength[e,i]": "<script>"}, lambda: read_model("gamma"), 400),
        ({"story": "gamma_and_its_loss", "step": "x"}, lambda: read_model("gamma"), 400),
    ],
)
def test_the_opening_holds_the_picture_of_the_model_that_its_address_asks_for(query, model, n, tmp_path):
    text = html_of(query, tmp_path=tmp_path)
    assert picture_of(model(), n) in text
    assert "<script>" not in text.replace('<script type="esms-options">', "")


def test_the_opening_of_a_story_shows_its_step_unless_the_link_has_moved_it(tmp_path):
    story = {"story": "gamma_and_its_loss", "step": "2"}
    pictures = [
        re.search(r"<svg.*?</svg>", html_of(query, tmp_path=tmp_path), re.S)[0]
        for query in ({"story": "gamma_and_its_loss"}, story, story | {"n": "800"}, {"n": "800"})
    ]
    assert pictures[2] == pictures[3] != pictures[0]
    step = server.Page("gamma", read_model("gamma"), Jobs(running=0), query=story)
    assert pictures[1] == step.picture.svg


def test_a_model_that_cannot_be_drawn_costs_the_picture_only(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(opening, "picture_of", lambda *_: 1 / 0)
    assert "The spiking system" in html_of({}, tmp_path=tmp_path)
    assert "could not be made" in caplog.text


@pytest.fixture
def served(tmp_path):
    model = read_model("correlated")
    store, limit = Store(tmp_path), ln.solve_limit(model, np.arange(21.0), lags=5)
    beginning = Beginning("rate", store, model, "correlated", limit)
    shared = server.Served(Jobs(), Here(), store, {"rate": beginning})
    made, looks = server.made_server({"/": beginning, "/rate": beginning}, shared, 0, "127.0.0.1")
    made.start()
    yield SimpleNamespace(server=made, url=f"http://127.0.0.1:{made.port}")
    looks.stop()
    made.stop()
    made.unlisten()


def fetched(served, path, **options):
    return served.server.io_loop.run_sync(
        lambda: AsyncHTTPClient().fetch(served.url + path, request_timeout=60, **options)
    )


def test_the_opening_is_sent_before_the_session_is_made(served, monkeypatch):
    parts, made = [], []
    real = server.Page
    monkeypatch.setattr(server, "Page", lambda *args, **options: made.append(len(parts)) or real(*args, **options))

    async def go():
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(
            f"GET /rate HTTP/1.1\r\nHost: 127.0.0.1:{served.server.port}\r\nConnection: close\r\n\r\n".encode()
        )
        while part := await reader.read(1_000_000):
            parts.append((part, len(made)))
        writer.close()

    served.server.io_loop.run_sync(go)
    whole = b"".join(part for part, _ in parts)
    early = b"".join(part for part, sessions in parts if not sessions)
    assert b'data-pick="weight|kernel"' in early or not early  # the kernel may hand over all at once
    assert whole.index(b'data-pick="weight|kernel"') < whole.index(b'id="figures"')
    assert whole.count(b"<html") == whole.count(b"</html>") == 1
    assert made == [0]


def test_a_page_needs_no_script_that_its_opening_does_not_name(served):
    text = fetched(served, "/").body.decode()
    named = re.findall(r'<script defer src="([^"]+)"', text)
    (session,) = served.server.get_sessions()
    resources = Resources.from_bokeh(served.server._tornado.resources())
    needed = bundle_resources(session.document.roots, resources).js_files
    assert [str(file.url).split("?")[0] for file in needed] == [address.split("?")[0] for address in named]
    for address in named:
        assert "max-age=315360000" in fetched(served, f"/{address}").headers["Cache-Control"]


def test_a_page_lets_the_browser_ask_no_one_else(served):
    headers = fetched(served, "/rate?theme=dark").headers
    policy = dict(one.split(" ", 1) for one in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert not re.search(r"https?:|\*", headers["Content-Security-Policy"])
    assert headers["Cache-Control"] == "no-store"


def test_an_address_with_a_slash_at_its_end_leads_to_the_page(served):
    response = fetched(served, "/rate/?gamma=0.5")
    assert urllib.parse.urlsplit(response.effective_url)[2:4] == ("/rate", "gamma=0.5")


def test_a_session_that_is_asked_for_by_a_wrong_name_is_refused_with_its_status(served):
    with pytest.raises(HTTPClientError, match="403"):
        fetched(served, "/rate?bokeh-token=x&bokeh-session-id=y")


def test_a_page_that_cannot_be_made_says_so_in_one_whole_document(served, monkeypatch):
    monkeypatch.setattr(server, "Page", lambda *args, **options: 1 / 0)
    text = fetched(served, "/rate").body.decode()
    assert text.count("<html") == text.count("</html>") == 1
    assert "Traceback" not in text
    (session,) = served.server.get_sessions()
    said = [str(model.text) for model in session.document.models if hasattr(model, "text")]
    assert any("could not be made" in words for words in said)
