"""Spikes as neo objects."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.statistics.labels import Spikes, spikes_of

UNITS = {"ms": "ms", "s": "s", "us": "us", "µs": "us", "min": "min"}
"""Units of time and what quantities calls them; a model's own unit of time stands as one second."""


def to_neo(network: xr.Dataset) -> Any:
    """Turn recorded spikes into a neo Block, which elephant and other tools of the field read.

    One Segment for each realisation, one SpikeTrain for each neuron, with `population`, `neuron` and `realisation` in
    its annotations; they begin and end with the Dataset's times. Of a selection (`sel`, `isel`) the realisations,
    populations and times that it has are exported, by their labels. Spiking system: every neuron, silent ones
    included, times in ms. Balanced system: the jumps that the chosen neurons receive (with shared synapses: send),
    their source population in the array annotation `source`; neo knows physical times only, so that the model's unit
    of time stands as one second.

    Args:
        network: What `simulate(..., record="spikes")` returned.

    Returns:
        A `neo.Block`.

    Raises:
        InputError: No spikes were recorded, a selection took a label or the times away, or the package neo is not
            there.
    """
    neo, quantities = _neo()
    spikes = spikes_of(network)
    attrs = network.attrs
    unit = getattr(quantities, UNITS.get(_unit(network), "s"))
    bounds = {"t_start": spikes.start * unit, "t_stop": spikes.stop * unit}
    block = neo.Block(name=f"largen {attrs.get('system', 'network')}", description=str(attrs.get("versions", "")))
    block.annotate(**{key: attrs[key] for key in ("parameters", "seed") if key in attrs})
    for run, trains in zip(spikes.realisations, _trains(spikes), strict=True):
        segment = neo.Segment(name=f"realisation {run}", index=run)
        for (population, neuron), rows in trains.items():
            about: dict[str, Any] = {"population": spikes.populations[population], "neuron": neuron, "realisation": run}
            if spikes.source is not None:
                about["array_annotations"] = {"source": spikes.source[rows]}
            segment.spiketrains.append(neo.SpikeTrain(spikes.time[rows], units=unit, **bounds, **about))
        block.segments.append(segment)
    return block


def _unit(network: xr.Dataset) -> str:
    """Unit of the spikes' times, which must be that of the Dataset's times."""
    mine, whole = (str(network[name].attrs.get("units", "")) for name in ("spike_time", "time"))
    if mine and whole and mine != whole:
        raise InputError(
            f"Argument `network` must have its times and its spikes in one unit, but has {whole!r} and {mine!r}."
        )
    return mine or whole


def _neo() -> tuple[Any, Any]:
    try:
        import neo
        import quantities
    except ImportError as error:
        raise InputError("Spikes as neo objects need the package neo: pip install 'largen[neo]'.") from error
    return neo, quantities


def _trains(spikes: Spikes) -> list[dict[tuple[int, int], np.ndarray]]:
    """Of each realisation, in order, the spikes of every neuron by (population, neuron), sorted by time."""
    if spikes.source is None:  # every neuron is recorded
        neurons = [(p, k) for p, size in enumerate(spikes.sizes.tolist()) for k in range(size)]
    else:
        neurons = sorted(set(zip(spikes.population.tolist(), spikes.neuron.tolist(), strict=True)))
    first = np.concatenate([[0], np.cumsum(spikes.sizes)])
    place = {run: k for k, run in enumerate(spikes.realisations)}
    run = np.array([place[label] for label in spikes.run.tolist()], dtype=np.int64)
    key = run * first[-1] + first[spikes.population] + spikes.neuron
    order = np.lexsort((spikes.time, key))
    sorted_key = key[order]
    made = []
    for r in range(len(spikes.realisations)):
        wanted = np.array([r * first[-1] + first[p] + k for p, k in neurons], dtype=np.int64)
        low, high = (np.searchsorted(sorted_key, wanted, side=side) for side in ("left", "right"))
        made.append({one: order[a:b] for one, a, b in zip(neurons, low, high, strict=True)})
    return made
