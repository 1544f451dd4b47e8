"""Links the first use of every glossary term in the prose of a page to the glossary, when the site is built."""

import re
from collections.abc import Iterable

EXACT = {"z"}
"""Terms that are matched as they are written: a symbol is no word."""


def pattern_of(terms: Iterable[str]) -> re.Pattern[str]:
    """Match any of the terms as a whole word, also in the plural; the longest of several at one place."""
    longest = sorted(terms, key=lambda term: (-len(term), term))
    words = [re.escape(term) if term in EXACT else f"(?i:{_forms(term)})" for term in longest]
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"({word})" for word in words) + r")(?![\w-])") if words else _NOTHING


def _forms(term: str) -> str:
    """The term with flexible spaces, singular or plural."""
    stem = r"[\s-]+".join(map(re.escape, term.split())).replace("'", "['’]")
    if term.endswith("y") and term[-2] not in "aeiou":
        return f"{stem[:-1]}(?:y|ies)"
    return stem if term.endswith("s") else f"{stem}(?:e?s)?"


_NOTHING = re.compile(r"(?!)")


def split(text: str, terms: set[str]) -> list[tuple[str, str | None]]:
    """Cut a text into pieces, each with the term it is the first use of or None; found terms leave the set."""
    pieces: list[tuple[str, str | None]] = []
    done = 0
    while terms and (found := pattern_of(terms).search(text, done)):
        term = sorted(terms, key=lambda term: (-len(term), term))[found.lastindex - 1]
        pieces += [(text[done : found.start()], None), (found[0], term)]
        terms.discard(term)
        done = found.end()
    return [piece for piece in [*pieces, (text[done:], None)] if piece[0]]


def link_first_uses(app, doctree, page: str) -> None:
    """Sphinx's event `doctree-resolved`: replace first uses in paragraphs by links."""
    from docutils import nodes

    targets = {
        name: (where, label)
        for name, _, kind, where, label, _ in app.env.get_domain("std").get_objects()
        if kind == "term"
    }
    if page in {where for where, _ in targets.values()}:
        return
    left = set(targets)
    for parent in doctree.findall(nodes.TextElement):
        _join_lines(parent)
    for node in list(doctree.findall(nodes.Text)):
        if not _is_prose(node):
            continue
        pieces = split(node.astext(), left)
        if any(term for _, term in pieces):
            made = [_node(app, page, shown, targets[term] if term else None) for shown, term in pieces]
            node.parent.replace(node, made)


def _join_lines(parent) -> None:
    """Texts that follow each other become one: MyST ends a text at the end of a line, in the middle of a term."""
    from docutils import nodes

    for k in range(len(parent) - 1, 0, -1):
        if isinstance(parent[k], nodes.Text) and isinstance(parent[k - 1], nodes.Text):
            parent[k - 1 : k + 1] = [nodes.Text(parent[k - 1].astext() + parent[k].astext())]


def _is_prose(node) -> bool:
    """Whether a text stands in a paragraph, and not in a heading, a link, code, a formula or a cell's output."""
    from docutils import nodes
    from sphinx import addnodes

    never = (nodes.title, nodes.reference, nodes.literal, nodes.FixedTextElement, nodes.math, nodes.math_block,
             nodes.raw, nodes.caption, nodes.rubric, addnodes.desc_signature, addnodes.literal_strong)  # fmt: skip
    inside, parent = False, node.parent
    while parent is not None:
        if isinstance(parent, never) or "cell_output" in parent.get("classes", ()):
            return False
        inside |= isinstance(parent, nodes.paragraph)
        parent = parent.parent
    return inside


def _node(app, page, shown, target):
    from docutils import nodes

    if target is None:
        return nodes.Text(shown)
    address = app.builder.get_relative_uri(page, target[0]) + "#" + target[1]
    return nodes.reference("", shown, internal=True, refuri=address, classes=["glossary"])


def setup(app):
    """Connect to Sphinx."""
    app.connect("doctree-resolved", link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
