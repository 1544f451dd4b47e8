"""What leaves largen: equations as LaTeX, spikes as neo objects."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, require


def to_neo(network: xr.Dataset) -> Any:
    """Turn recorded spikes into a neo Block, which elephant and other tools of the field read.

    One Segment for each realisation, one SpikeTrain for each neuron, with `population`, `neuron` and `realisation` in
    its annotations. Spiking system: every neuron, silent ones included, times in ms. Balanced system: the jumps that
    the chosen neurons receive (with shared synapses: send), their source population in the array annotation `source`;
    neo knows physical times only, so that the model's unit of time stands as one second.

    Args:
        network: What `simulate(..., record="spikes")` returned.

    Returns:
        A `neo.Block`.

    Raises:
        InputError: No spikes were recorded, or the package neo is not there.
    """
    neo, quantities = _neo()
    known = isinstance(network, xr.Dataset) and "spike_time" in network and "spike_realisation" in network
    what = list(network.data_vars) if isinstance(network, xr.Dataset) else type(network).__name__
    require(known, "network", "hold spikes", what, 'Simulate with record="spikes".')
    physical = network["spike_time"].attrs.get("units") == "ms"
    unit = quantities.ms if physical else quantities.s
    bounds = {"t_start": float(network["time"].values[0]), "t_stop": float(network["time"].values[-1])}
    labels = [str(word) for word in network["population"].values]
    block = neo.Block(name=f"largen {network.attrs['system']}", description=network.attrs["versions"])
    block.annotate(parameters=network.attrs["parameters"], seed=int(network.attrs.get("seed", 0)))
    for r, spikes in enumerate(_trains(network)):
        segment = neo.Segment(name=f"realisation {r}", index=r)
        for (population, neuron), (times, source) in spikes.items():
            about: dict[str, Any] = {"population": labels[population], "neuron": neuron, "realisation": r}
            if source is not None:
                about["array_annotations"] = {"source": np.array(labels)[source]}
            segment.spiketrains.append(neo.SpikeTrain(times, units=unit, **bounds, **about))
        block.segments.append(segment)
    return block


def _neo() -> tuple[Any, Any]:
    try:
        import neo
        import quantities
    except ImportError as error:
        raise InputError("Spikes as neo objects need the package neo: pip install 'largen[neo]'.") from error
    return neo, quantities


def _trains(network: xr.Dataset) -> list[dict[tuple[int, int], tuple[np.ndarray, np.ndarray | None]]]:
    """Of each realisation, the times (and sources) of every neuron's spikes by (population, neuron)."""
    run, population, neuron = (
        network[f"spike_{name}"].values.astype(np.int64) for name in ("realisation", "population", "neuron")
    )
    times = network["spike_time"].values
    source = network["spike_source"].values if "spike_source" in network else None
    sizes = np.asarray(network.attrs["sizes"], dtype=np.int64)
    if source is None:  # every neuron is recorded
        neurons = [(p, k) for p, size in enumerate(sizes.tolist()) for k in range(size)]
    else:
        neurons = sorted(set(zip(population.tolist(), neuron.tolist(), strict=True)))
    first = np.concatenate([[0], np.cumsum(sizes)])
    order = np.lexsort((times, first[population] + neuron, run))
    key = (run * first[-1] + first[population] + neuron)[order]
    made = []
    for r in range(network.sizes["realisation"]):
        place = [r * first[-1] + first[p] + k for p, k in neurons]
        low, high = np.searchsorted(key, place, side="left"), np.searchsorted(key, place, side="right")
        mine = [order[a:b] for a, b in zip(low, high, strict=True)]
        made.append(
            {
                one: (times[rows], None if source is None else source[rows])
                for one, rows in zip(neurons, mine, strict=True)
            }
        )
    return made
