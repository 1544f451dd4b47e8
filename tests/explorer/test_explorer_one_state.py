"""Nothing on a page belongs to another model than the one it names, and no text of others becomes markup."""

import functools
import json
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import largen as ln
from largen.checks import InputError
from largen.explorer.beginnings import Beginning, prepare, shows_portrait
from largen.explorer.copying import text_of
from largen.explorer.jobs import Failure, Jobs
from largen.explorer.page import Page
from largen.explorer.picture import picture_of
from largen.explorer.runner import Finished
from largen.explorer.settings import opening_of, run_of
from largen.explorer.solvers import Answer, Here, Solvers, answer, limit_of
from largen.explorer.store import Store
from largen.io.model_files import model_text, read_model, time_grid

HOSTILE = ("<img src=x onerror=alert(1)>", '"]}', "a|b", "${7}", "a\nb", "'; import os #", "</script>")


class Later:
    """Answers when it is told to."""

    def __init__(self):
        self.asked = []

    def ask(self, owner, function, args, take):
        self.asked.append((function, args, take))

    def forget(self, *owners):
        pass

    def give(self, k=0):
        function, args, take = self.asked.pop(k)
        take(answer(function, args))


class Limitless(Later):
    """Answers everything but what the limit is."""

    def ask(self, owner, function, args, take):
        if function is not limit_of:
            take(answer(function, args))


def page_of(name="correlated", **options):
    """A page that has its limit."""
    return Page(name, read_model(name), Jobs(running=0), limit=known_limit(name), **options)


def bare_page(name="correlated", **options):
    """A page whose limits never come."""
    return Page(name, read_model(name), Jobs(running=0), solver=Limitless(), **options)


@functools.cache
def known_limit(name):
    model, opening = read_model(name), opening_of(read_model(name))
    n = run_of(model).n if model.reference_size is not None else None
    return limit_of(model, time_grid(0.0, opening.stop, opening.step), opening.limit_options, n)


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_of_an_uploaded_model_is_refused_and_shown_as_text(label):
    page = bare_page("excitatory_inhibitory")
    text = model_text(page.own.replace(labels=("alpha", "beta"))).replace("alpha", json.dumps(label), 1)
    state = page.state
    page.sharing.take({"text": text})
    assert page.status.object.startswith("Not loaded.")
    assert "labels" in page.status.object
    assert page.state is state
    shown = page.status._transform_object(page.status.object)["object"]
    assert not re.search(r"<(?!/?pre\b)", shown), shown


def test_the_strangest_labels_that_are_allowed_stay_text_in_picture_equations_and_copies(tmp_path, monkeypatch):
    labels = ("e.x+1-_", "ünï_9")
    model = read_model("excitatory_inhibitory").replace(labels=labels)
    root = ET.fromstring(picture_of(model, 1000))
    assert {f"[{label}]" for label in labels} <= {one.get("data-pick") for one in root.iter()}
    page = bare_page("excitatory_inhibitory")
    page.sharing.take({"text": model_text(model)})
    assert page.model.populations == labels
    page.equations.collapsed = False
    assert not re.search("[<>]", page.equation.object)
    code = text_of("Python", page.state, opening_of(model), 'my "model" \\ 1').split("times = ")[0]
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code, scope)
    assert scope["model"].populations == labels


def test_what_is_said_instead_of_equations_is_text(monkeypatch):
    def refuse(model):
        raise InputError("<img src=x onerror=alert(1)> & more")

    monkeypatch.setattr("largen.explorer.page.equations", refuse)
    page = bare_page()
    page.equations.collapsed = False
    assert page.equation.object == "&lt;img src=x onerror=alert(1)&gt; &amp; more"


@pytest.mark.parametrize("duration", [10.0, 10.7, 12.25])
def test_copied_python_has_the_times_of_the_page(duration):
    page = bare_page()
    page.set_values({"duration": duration})
    line = re.search(r"times = (.*)", text_of("Python", page.state, page.opening, "x"))[1]
    np.testing.assert_array_equal(eval(line, {"np": np}), page.times)


def test_files_are_named_after_the_model_that_is_shown():
    page = bare_page(query={"example": "chaotic", "gain": "0.5"})
    assert page.title == "chaotic"
    saved = []
    page.sharing.downloads.save = lambda name, content: saved.append((name, content.decode().split()[:2]))
    page.sharing.give({"label": "Save the model (YAML)"})
    assert saved == [("chaotic.yaml", ["system:", "rate"])]
    page.sharing.give({"label": "no such button"})
    page.sharing.give({"label": "Download the limit (netCDF)"})
    assert len(saved) == 1
    assert page.sharing.words.object.startswith("There is no limit")
    assert "chaotic.yaml" in text_of("Command line", page.state, page.opening, page.title)
    page.load(page.own.replace(gamma=0.1))
    assert page.title == "correlated"
    page.load(ln.RateNetwork(activation="erf"))
    assert page.title == "rate"


def test_copied_text_is_put_away_when_the_model_moves():
    page = bare_page()
    page.sharing.copy_text()
    assert "gamma: 0.7" in page.sharing.text.value
    page.take({"name": "gamma", "text": "0.5"})
    assert (page.sharing.text.value, page.sharing.text.visible) == ("", False)


def test_forward_after_back_and_undo_brings_the_state_of_its_address():
    page = bare_page()
    told = {}
    page.browser.do = lambda what, **more: told.update({more["search"]: more["place"]})
    for gamma in ("0.25", "0.5", "0.75"):
        page.take({"name": "gamma", "text": gamma})
    last = told["?gamma=0.75"]
    page.told({"went": told["?gamma=0.5"], "search": "?gamma=0.5"})
    page.told({"key": "undo"})
    page.told({"went": last, "search": "?gamma=0.75"})
    assert page.model.value("gamma") == 0.75


def test_reset_mends_every_box_and_a_loaded_point_its_own():
    page = bare_page()
    for name in ("gamma", "gain"):
        page.take({"name": name, "text": "x"})
    page.set_values({"gamma": 0.5})
    assert list(page.errors) == ["gain"]
    page.show(page.first)
    assert page.errors == {} == page.form.errors
    assert page.asked().model.value("gamma") == 0.7


def test_a_link_carries_what_another_choice_uses():
    page = bare_page()
    page.set_values({"dynamics": "continuous"})
    page.set_values({"tau": 2.0})
    assert page.search == "?dynamics=continuous&tau=2"
    again = bare_page(query={"dynamics": "continuous", "tau": "2"})
    assert again.model.value("tau") == 2.0


def test_a_link_to_a_step_of_a_story_keeps_what_was_moved_in_it():
    name = "neurons_that_stay_correlated"
    page = bare_page(query={"story": name, "step": "2"})
    assert page.state.run.networks == 16
    page.take({"name": "gamma", "text": "0.5"})
    again = bare_page(query=dict(one.split("=") for one in page.search[1:].split("&")))
    assert (again.model.value("gamma"), again.state.run.networks, again.telling.place) == (0.5, 16, 1)
    for step in ("²", "0", "9", "x", ""):
        assert "There is no step" in bare_page(query={"story": name, "step": step}).status.object


def test_words_about_one_state_are_not_said_of_the_next():
    page = page_of()
    page.take({"name": "mean_weight", "text": "1e300"})
    page.runner.start()
    assert page.runner.words.startswith("These parameters have no limit")
    page.take({"name": "mean_weight", "text": "-0.5"})
    assert page.runner.words.startswith("Press")
    page.solver = Later()
    page.take({"name": "mean_weight", "text": "-0.4"})
    page.runner.start()
    assert page.runner.waits is not None
    page.take({"name": "mean_weight", "text": "-0.3"})
    page.solver.give()
    page.solver.give()
    assert page.has_limit
    assert page.runner.job is None  # nobody asked for networks of this state


@pytest.mark.long
def test_a_portrait_of_the_model_before_is_neither_shown_nor_left_standing():
    page = page_of("balanced")
    page.stage.tab.value = "Manifold"
    view = page.stage.tabs["Manifold"][0]
    assert len(view.sources["attracting"].data["xs"])
    page.take({"name": "drive[e]", "text": "0.9"})
    kept, page.solver = page.solver, Later()
    page.take({"name": "drive[e]", "text": "0.95"})
    page.solver.give()  # its limit
    late = page.solver.asked.pop()
    assert len(view.sources["attracting"].data["xs"]) == 0
    page.solver = kept
    page.take({"name": "drive[e]", "text": "1.0"})
    now = [one.tolist() for one in view.sources["stable state"].data.values()]
    late[2](answer(*late[:2]))
    assert [one.tolist() for one in view.sources["stable state"].data.values()] == now
    page.stage._show_answer(view, page.limit, Answer(None, "no portrait"))
    assert view.figure.title.text == "balanced manifold: no portrait"
    assert len(view.sources["attracting"].data["xs"]) == 0


def test_the_options_of_the_limit_that_is_shown_are_those_of_its_networks_and_copies():
    page = page_of()
    assert page.options == {"lags": 5}
    page.limit = page.limit.assign_attrs(lags=3)
    assert page.options == {"lags": 3}
    page.take({"name": "gamma", "text": "0.5"})
    assert page.options == {"lags": 5}


def test_why_the_sizes_ended_is_said_although_their_process_ends_later():
    sizes = page_of().stage.sizes
    sizes.take([Failure("Out of memory.")], False)
    sizes.take([], True)
    assert sizes.words.object == "Out of memory."


def test_an_exported_page_names_the_run_of_its_verdict():
    page = page_of()
    page.runner.now = Finished(page.state)
    page.take({"name": "networks", "text": "4"})
    assert "&quot;networks&quot;: 8" in page.sharing.html().getvalue().decode()


def test_the_first_limit_is_kept_for_the_next_start_and_only_for_the_same_model(tmp_path):
    store, model = Store(tmp_path), ln.RateNetwork()
    assert Beginning("rate", store, model).limit is None
    found = prepare("rate", store, model)
    xr.testing.assert_equal(found, known_limit("correlated"))
    xr.testing.assert_identical(Beginning("rate", Store(tmp_path), model).limit, found)
    assert Beginning("rate", store, model.replace(gamma=0.25)).limit is None
    assert not shows_portrait(model, found)


def test_a_beginning_is_the_systems_own_example_unless_a_model_is_given(tmp_path):
    store = Store(tmp_path)
    own, given = Beginning("rate", store), Beginning("rate", store, ln.RateNetwork(gamma=0.25), "mine")
    assert (own.name, given.name) == ("correlated", "mine")
    assert own.model == read_model("correlated")
    assert given.model.gamma == 0.25


def test_a_model_without_a_limit_has_a_page_beside_those_of_the_others(tmp_path):
    model = read_model("saddle")
    assert prepare("balanced", Store(tmp_path), model) is None
    assert not any(tmp_path.iterdir())
    page = Page("saddle", model, Jobs(running=0))
    assert page.status.object.startswith("No limit here.")
    page.recording_file.take({"away": True})
    assert page.stage.box.objects


def test_a_process_compiles_only_while_nobody_asks():
    solvers, given = Solvers.__new__(Solvers), []
    worker = SimpleNamespace(take=None, warm=[], owner=None)

    def give(owner, question, take):
        given.append(question)
        worker.take = take

    worker.give = give
    solvers._workers, solvers._waiting = [worker], {}
    solvers.warm([("first", ()), ("second", ())])
    solvers.ask("me", len, ("ab",), given.append)
    assert given == [("first", ())]
    solvers._deliver(worker, Answer(None, ""))
    assert given[1:] == [(len, ("ab",))]
    solvers._deliver(worker, Answer(2, ""))
    assert given[2:] == [Answer(2, ""), ("second", ())] or given[2:] == [("second", ()), Answer(2, "")]


def test_while_one_process_compiles_another_is_free_to_answer():
    solvers, given = Solvers.__new__(Solvers), []

    def worker(name):
        made = SimpleNamespace(take=None, warm=[], owner=None)

        def give(owner, question, take):
            given.append((name, question[0]))
            made.take = take

        made.give = give
        return made

    first, second = solvers._workers = [worker("one"), worker("two")]
    solvers._waiting = {}
    solvers.warm([("compile", ()), ("more", ())])
    assert given == [("one", "compile")]
    solvers.ask("me", len, ("ab",), given.append)
    assert given[1:] == [("two", len)]
    solvers._deliver(first, Answer(None, ""))
    assert given[2:] == []  # the reader's question is on its way
    solvers._deliver(second, Answer(2, ""))
    solvers._deliver(first, Answer(None, ""))
    assert [one for one in given if one[0] in ("one", "two") and one[1] != len] == [
        ("one", "compile"), ("one", "more"), ("two", "compile"),
    ]  # fmt: skip


def test_a_form_says_which_change_it_has_heard_after_its_consequences_are_there():
    page = bare_page()
    order = []
    page.form.param.watch(lambda event: order.append((event.name, event.new)), ["values", "errors", "heard"])
    page.form._handle_msg({"name": "gamma", "text": "0.5", "serial": 3})
    assert order[-1] == ("heard", 3)
    assert "values" in dict(order)
    for serial in (2, "9", 2**40, None, -1, 1.5):
        page.form._handle_msg({"name": "gamma", "text": "0.25", "serial": serial})
        assert page.form.heard == 3
    page.form._handle_msg({"name": "gamma", "text": "x", "serial": 4})
    assert (order[-2][0], order[-1]) == ("errors", ("heard", 4))


class Once(Here):
    """Answers when it is told to."""

    def ask(self, owner, function, args, take):
        self.late = lambda: take(Answer(known_limit("correlated")))


def test_what_is_wrong_with_a_link_is_said_also_where_the_limit_comes_later():
    solver = Once()
    page = Page("correlated", read_model("correlated"), Jobs(running=0), solver=solver, query={"gamma": "x"})
    assert page.status.object.startswith("Link not used.")
    solver.late()
    assert page.has_limit
    assert page.status.object.startswith("Link not used.")
    page.show(page.state._replace(run=page.state.run._replace(networks=3)))
    assert page.status.object.startswith("Limit:")
