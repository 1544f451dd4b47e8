"""Names, messages, comments and pages use the terms of the field: phrases that a reader cannot know fail here."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (".ci", ".github", "benchmarks", "docs", "examples", "src", "tests", "validation")
SUFFIXES = {".css", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}
NOT_OURS = ("docs/_build/", "tests/test_language.py")
"""Made when the site is built; this file."""

# Rule: what to write instead, the pattern, a line that it must find, and one that it must leave alone.
RULES = {
    "transfer noise, transferred neurons": (r"landing|\bmovers?\b|\w_movers?\b", "the movers' variance", "they moved"),
    "affine_drift": (r"\bstretched\b|_stretched", "stretched=False", "a stretch of time"),
    "min_support": (r"narrowest", "narrowest: float = 0.01", "narrow bins"),
    "linear_in_bin": (r"\bsloped\b|_sloped|sloped_", "sloped: bool", "the slope of a gain"),
    "reference value": (r"\bgoldens?\b|golden_|_golden", "golden orbits", "marigold"),
    "injected fault": (r"\b[Pp]lanted\b|_planted|planted_", "a planted bias", "transplanted"),
    "failure modes, fault injection": (r"troubl", "the troubles of a store", "a tremble"),
    "other simulators": (r"\bpeers?\b|_peers?\b|peers?_", "speed of the peers", "appears, peered"),
    "Validation": (r"[Hh]ow we know it is right|is it right\?", "How we know it is right", "the right-hand side"),
    "garbage collection is paused": (
        r"collector of garbage|collector rests",
        "the collector of garbage rests",
        "pause",
    ),
    "check memory before allocating": (r"before it is taken", "memory is said before it is taken", "taken before"),
    "right-hand side": (r"\blaw\([xy], ?p\)|`law`|\blaw: Callable", "law(x, p)", "the law of large numbers"),
    "branch ends at a Hopf point": (r"orbit dies", "the orbit dies there", "the branch ends"),
    "rejoins the primary branch": (r"merges with the single", "merges with the single one", "two files merge"),
    "diverges": (r"state runs on\b", "the state runs on", "a state"),
    "eigenvalue_error, rejects_step": (r"\bdoubts?\b|_doubt|objection", "its doubt", "redoubt"),
    "search outward": (r"\bwalked\b|_walked|walked_", "walked outwards", "a walk"),
    "located again at another number of steps": (
        r"\b_?tuned\b|_tuned|\b_closer\b",
        "tuned to k",
        "attuned, closer to it",
    ),
    "expensive to recompute": (r"\bis dear\b|\bare dear\b", "a new one is dear", "endear"),
    "NOT_CONVERGED": (r"\brestless\b|_restless|RESTLESS", "restless", "rest"),
    "MAX_STEPS_REACHED": (r"\bgave up\b|GAVE_UP|gave_up", "Newton gave up", "gave"),
    "integer": (r"[Ww]hole numbers?\b", "must be a whole number", "the whole file"),
    "message": (r"\.sentence\b|\bsentence: str", "ending.sentence", "one idea a sentence"),
    "multinomial sampling": (r"multinomial chance", "with multinomial chance", "by chance"),
    "the bin map reverses orientation": (r"bin inside out", "turns a bin inside out", "inside a bin"),
    "large-amplitude branch": (r"\bbig oscillation|\bsmall orbits?\b", "the big oscillation", "a large amplitude"),
    "work unchanged": (r"come for nothing|comes for nothing", "files come for nothing", "nothing"),
    "subpackage": (r"\b(one|a|the|each|every|its) rooms?\b|_rooms?\b|_ROOMS", "test one room", "room for two arrays"),
    "what a reader has": (
        r"[Tt]he specification\b|independent prototype|\bissue \d|(this|earlier|previous) session",
        "the numbers of issue 7",
        "a session of the browser",
    ),
    "±": (r"\+- ?[\d{.]|\+-$|\w \+- \w", "0.3 +- 0.1", "[+-]?[0-9]"),
}
LEADING_ZERO = r"(?<![\w.)\]}:])(?<!:\+)\.\d", "a step of .5 ms", "0.5 ms, v1.2.3, {x:.2f}, {x:+.1f}"
"""Holds for pages only: in code a formatter would have to write them."""


def files():
    found = [path for path in ROOT.glob("*") if path.is_file()]
    found += [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    for path in found:
        name = path.relative_to(ROOT).as_posix()
        if (path.suffix in SUFFIXES or path.parent.name == ".ci") and not name.startswith(NOT_OURS):
            yield name, path.read_text()


def breaches(name, text):
    """Every line that breaks a rule, as FILE:LINE: rule: the line."""
    rules = {instead: pattern for instead, (pattern, _, _) in RULES.items()}
    if name.endswith(".md"):
        rules["a leading zero"] = LEADING_ZERO[0]
    for instead, pattern in rules.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if re.search(pattern, line):
                yield f"{name}:{number}: say '{instead}': {line.strip()[:100]}"


def test_no_phrase_that_a_reader_cannot_know():
    found = [line for name, text in files() for line in breaches(name, text)]
    assert not found, "\n".join(found)


def test_the_files_that_are_read_are_those_of_the_project():
    names = {name for name, _ in files()}
    assert {"README.md", "src/largen/simulation.py", "docs/index.md", ".ci/run", "tests/test_layers.py"} <= names


@pytest.mark.parametrize("instead", RULES)
def test_a_rule_finds_an_injected_violation_and_no_more(instead):
    _, wrong, innocent = RULES[instead]
    assert [line for line in breaches("src/largen/x.py", f"x = 1\n# {wrong}\n") if f"'{instead}'" in line]
    assert not list(breaches("src/largen/x.py", innocent))


def test_a_missing_leading_zero_is_found_in_pages_only():
    _, wrong, innocent = LEADING_ZERO
    assert [line for line in breaches("docs/x.md", wrong) if "leading zero" in line]
    assert not list(breaches("docs/x.md", innocent))
    assert not list(breaches("src/largen/x.py", wrong))


if __name__ == "__main__":  # python tests/test_language.py [PATH ...]: what is left, by path
    import sys

    for name, text in files():
        if name.startswith(tuple(sys.argv[1:]) or ("",)):
            print(*breaches(name, text), sep="\n", end="\n" if list(breaches(name, text)) else "")
