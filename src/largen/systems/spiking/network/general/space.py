"""The network on a ring or sheet: where its neurons are, its graph as lists, its annealed patches, its patches' rates.

Neurons of a population are counted patch by patch where patches decide (annealed, quenched), else along the grid or
in the order in which their positions were drawn.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError
from largen.space import graph
from largen.space.graph import Rows
from largen.space.patches import by_pair
from largen.space.place import at_positions
from largen.systems.spiking import constants as derived
from largen.systems.spiking.network.general.spray import Spray, no_spray, spray
from largen.systems.spiking.network.general.state import Constants, Uneven
from largen.systems.spiking.network.general.wiring import Links, group_table
from largen.systems.spiking.sheet import Sheet, coordinates, patch_edges, require_neurons, sheet_of

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

Brings = tuple[np.ndarray, np.ndarray, np.ndarray]


class Places(NamedTuple):
    """Where the neurons are; A populations.

    Attributes:
        sheet: The sheet.
        position: By population, shape (neuron, axis); None where patches decide.
        patch: Patch of every neuron, population after population, shape (N,).
        size: Neurons of every patch, shape (A, M).
    """

    sheet: Sheet
    position: list[np.ndarray] | None
    patch: np.ndarray
    size: np.ndarray


def require_possible(model: "SpikingNetwork") -> None:
    """Refuse spreads of delays and strengths along fixed or annealed synapses of a sheet."""
    where = "with `space`"
    spread = float(np.max(model.strength_spread))
    if spread > 0.0:
        raise InputError(f"Argument `strength_spread` must be 0 {where}, but is {spread:g}.")
    delays = np.any(np.asarray(model.delay_spread) * np.asarray(model.delay) > 0.0)
    if delays and model.connectivity != "annealed":
        largest = float(np.max(model.delay_spread))
        raise InputError(f"Argument `delay_spread` must be 0 {where} and a fixed graph, but is {largest:g}.")
    require_neurons(model)


def place(model: "SpikingNetwork", rng: Callable[..., np.random.Generator]) -> Places:
    """Put the neurons into patches, or at positions."""
    sheet = sheet_of(model)
    count = sheet.space.count
    if model.connectivity != "neurons":
        edges = [patch_edges(int(n), count) for n in model.size]
        patch = np.concatenate([np.repeat(np.arange(count), np.diff(edge)) for edge in edges])
        return Places(sheet, None, patch, np.stack([np.diff(edge) for edge in edges]))
    at = graph.grid_positions if model.positions == "grid" else graph.random_positions
    generator = rng("positions")
    position = [at(sheet.space, int(n), generator) for n in model.size]
    patches = [graph.cell_of(one, sheet.space, sheet.space.shape) for one in position]
    size = np.stack([np.bincount(patch, minlength=count) for patch in patches])
    if np.any(size == 0):
        raise InputError(
            f"Argument `space.patches` must leave no patch without a neuron of each population, but of {count} patches "
            f"{int(np.sum(size == 0))} are empty. Take fewer patches or more neurons."
        )
    return Places(sheet, position, np.concatenate(patches), size)


def annealed(model: "SpikingNetwork", places: Places, shares: np.ndarray, brings: Brings) -> Spray:
    """Where annealed spikes go; nowhere with a fixed graph."""
    if model.connectivity != "annealed":
        return no_spray()
    counts = places.size.cumsum(axis=1)
    first = np.concatenate([[0], np.cumsum(model.size)])[:-1]
    edge = first[:, None] + np.concatenate([np.zeros((len(counts), 1), np.int64), counts], axis=1)
    return spray(places.sheet.probability, edge, shares, brings[0], brings[1])


def uneven(model: "SpikingNetwork", places: Places, c: Constants, start: float, steps: int, dt: float) -> Uneven:
    """What a constant drive that depends on place adds in every step to that of `Sheet.model`.

    Patches hold its average; a neuron with a position of its own has the value there.
    """
    count, size = len(model.size), np.diff(c.edge)
    sheet, by_patch = places.sheet, places.sheet.uneven
    assert by_patch is not None
    if places.position is None or by_patch.moves:
        value = np.asarray(sheet.at_steps(start, steps, dt).apart) * c.drive[:, None]
        cell = np.repeat(np.arange(count) * sheet.space.count, size) + places.patch
        return Uneven(value.reshape(len(value), -1).astype(np.float32), cell.astype(np.int32))
    mean, found = np.asarray(by_patch(0.0)).mean(1), []
    for a, position in enumerate(places.position):
        here = at_positions("external_mean", model.external_mean, count, position)(0.0)
        found.append(c.drive[a] * (np.asarray(here)[a] - mean[a]))
    return Uneven(np.concatenate(found).astype(np.float32)[None], np.arange(int(size.sum()), dtype=np.int32))


def fixed_graph(
    model: "SpikingNetwork", places: Places, shares: np.ndarray, brings: Brings, key: np.ndarray,
    tick: Callable[[], None],
) -> Links:  # fmt: skip
    """Draw the graph of a sheet.

    Args:
        model: The network.
        places: Where its neurons are.
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay]; one of them is 1.
        brings: By [target][source]: row of what arrives, what a spike adds there, and the relative spread of that.
        key: The graph's name, uint64, shape (2,).
        tick: Called now and then; may raise to stop.
    """
    p = derived.per_pair(model, model.probability)
    group_of, links = group_table(shares, brings[0], brings[1], p > 0.0)
    edge = np.concatenate([[0], np.cumsum(model.size)]).astype(np.int64)
    groups, parts = links.offset.shape[1] - 1, []
    for b in range(len(p)):
        by_group: list[list[Rows]] = [[] for _ in range(groups)]
        for a in np.flatnonzero(p[:, b] > 0.0).tolist():
            rows = _rows(model, places, edge, (a, b), key, tick)
            delay = int(np.argmax(shares[a, b]))
            by_group[group_of[a, b, delay]].append(rows._replace(target=rows.target + np.int32(edge[a])))
        parts.append(_merge(by_group, int(model.size[b])))
    target = np.concatenate([part[1] for part in parts])
    offset = np.concatenate([part[0] for part in parts]).astype(np.int32)
    start = np.concatenate([[0], np.cumsum(offset[:, -1], dtype=np.int64)])
    return links._replace(start=start, offset=offset, target=target)


def _rows(
    model: "SpikingNetwork", places: Places, edge: np.ndarray, pair: tuple[int, int], key: np.ndarray,
    tick: Callable[[], None],
) -> Rows:  # fmt: skip
    """The rows of one pair of populations, its targets counted from 0."""
    a, b = pair
    count = len(edge) - 1
    first_row = (a * count + b) * int(edge[-1])
    if places.position is None:
        patches = (places.patch[edge[a] : edge[a + 1]], places.patch[edge[b] : edge[b + 1]])
        return graph.by_patch(places.sheet.probability[a, b], patches, key, first_row, tick)
    kernel, p = by_pair(model.kernel, count)[a][b], float(derived.per_pair(model, model.probability)[a, b])
    at = (places.position[a], places.position[b])
    return graph.by_distance(kernel, places.sheet.space, p, at, key, first_row, tick)


def _merge(groups: list[list[Rows]], sources: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all groups of one source population as one row each.

    Returns:
        First synapse of each group within the row and its length, shape (source, G + 1), and the targets.
    """
    lists = [(g, rows) for g, group in enumerate(groups) for rows in group]
    length = np.zeros((sources, len(lists)), np.int64)
    for column, (_, rows) in enumerate(lists):
        length[:, column] = np.diff(rows.start)
    first = np.zeros((sources, len(lists)), np.int64)
    first[:, 1:] = np.cumsum(length, axis=1)[:, :-1]
    start = np.concatenate([[0], np.cumsum(length.sum(axis=1))])
    target = np.empty(int(start[-1]), np.int32)
    for column, (_, rows) in enumerate(lists):
        shift = start[:-1] + first[:, column] - rows.start[:-1]
        target[np.arange(len(rows.target)) + np.repeat(shift, length[:, column])] = rows.target
    offset = np.zeros((sources, len(groups) + 1), np.int64)
    for column, (g, _) in enumerate(lists):
        offset[:, g + 1 :] += length[:, column, None]
    return offset, target


def describe(places: Places) -> dict:
    """Coordinates of the patches, with the number of neurons in each."""
    return coordinates(places.sheet.space, places.size)


class Counts:
    """Spikes of every patch between outputs."""

    def __init__(self, places: Places, edge: np.ndarray, steps: np.ndarray):
        population = np.searchsorted(edge, np.arange(int(edge[-1])), side="right") - 1
        self.cell = population * places.sheet.space.count + places.patch
        self.steps, self.places = steps, places
        self.spikes = np.zeros((len(steps), places.size.size), np.int64)

    def add(self, step: np.ndarray, neuron: np.ndarray) -> None:
        """Count spikes that were listed."""
        if not len(step):
            return
        sample = np.searchsorted(self.steps, step)
        cells, lowest = self.spikes.shape[1], int(sample[0])
        found = np.bincount((sample - lowest) * cells + self.cell[neuron])
        last = -(-len(found) // cells)
        padded = np.zeros(last * cells, np.int64)
        padded[: len(found)] = found
        self.spikes[lowest : lowest + last] += padded.reshape(last, cells)

    def rates(self, dt: float) -> np.ndarray:
        """Rates (Hz), shape (population, patch, time)."""
        size = self.places.size
        seconds = np.concatenate([[1.0], np.diff(self.steps) * dt / 1000.0])
        return self.spikes.T.reshape(*size.shape, -1) / (size[:, :, None] * seconds)
