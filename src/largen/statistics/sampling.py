"""A random sample of a network's neurons, as an electrode records it."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from largen.checks import dataset as checked
from largen.checks import integer, known_keys, require, seed_number
from largen.numerics.streams import stream
from largen.statistics.labels import (
    SLACK,
    is_sample,
    network_sizes_of,
    places,
    population_labels,
    realisation_labels,
    sizes_of,
    spikes_of,
)


def sample_neurons(network: xr.Dataset, sizes: Mapping[str, int], *, seed: int = 0) -> xr.Dataset:
    """Take randomly chosen neurons of every realisation, to be compared with a recording of as many.

    The network's events, power and gamma frequency depend on how many neurons are looked at: the noise of counting is
    added to the rhythm. A recording of 50 of 800 neurons is like a network of which 50 are taken.

    Args:
        network: What `simulate(..., record="spikes")`, `recording` or `read_recording` returned.
        sizes: Neurons to take, by population; populations that are left out stay as they are.
        seed: Seed of the choice, which differs between realisations.

    Returns:
        Dataset of the same kind with `rate` (per neuron taken) and the spikes of these neurons, which are numbered anew
        in their order. `attrs["sizes"]` are the neurons taken, `attrs["network_sizes"]` those of the network.

    Raises:
        InputError: No recorded spikes, or a population or number that there is not.
    """
    spikes_of(network)  # refuses a Dataset without spikes or labels
    checked("network", network, dims=("realisation", "population", "time"))
    seed = seed_number("seed", seed)
    labels, there, here = population_labels(network), sizes_of(network), places(network)
    must = "map populations to numbers of neurons"
    require(isinstance(sizes, Mapping), "sizes", must, sizes, "Such as sizes={'e': 50, 'i': 20}.")
    known_keys("population in `sizes`", sizes, labels)
    taken = []
    for label, most in zip(labels, there.tolist(), strict=True):
        taken.append(integer(f"sizes[{label}]", sizes.get(label, most), low=1))
        require(taken[-1] <= most, f"sizes[{label}]", f"be at most {most}, the neurons there are", taken[-1])

    run, owner, neuron = (network[f"spike_{name}"].values for name in ("realisation", "population", "neuron"))
    time, times = network["spike_time"].values.astype(float), network["time"].values.astype(float)
    step = np.searchsorted(times, time - SLACK * np.diff(times).min())
    within = (time >= times[0] - SLACK * np.diff(times).min()) & (step < len(times))
    if network.attrs.get("kind") == "recording":
        step = np.maximum(step, 1)  # a spike at the start counts to the first step
    seconds = np.diff(times, prepend=times[0] - (times[1] - times[0])) / 1000.0
    kept, number = np.zeros(len(time), bool), np.zeros(len(time), neuron.dtype)
    rate = np.zeros((network.sizes["realisation"], len(labels), len(times)))
    for r, realisation in enumerate(realisation_labels(network)):
        for k, label in enumerate(labels):
            mine = np.flatnonzero((run == realisation) & (owner == here[k]) & within)
            place = _places(int(there[k]), taken[k], stream(seed, "sample", realisation, label))
            mine = mine[place[neuron[mine]] >= 0]
            kept[mine], number[mine] = True, place[neuron[mine]]
            rate[r, k] = np.bincount(step[mine], minlength=len(times)) / (taken[k] * seconds)

    made = network[["rate", *(name for name, variable in network.data_vars.items() if "spike" in variable.dims)]]
    made = made.assign(spike_neuron=("spike", number, network["spike_neuron"].attrs)).isel(spike=np.flatnonzero(kept))
    dims = ("realisation", "population", "time")
    made = made.assign(rate=xr.DataArray(rate, dims=dims, attrs=network["rate"].attrs))
    whole = {"sizes": np.atleast_1d(network.attrs["sizes"]).copy()}
    whole["network_sizes"] = np.atleast_1d(network.attrs.get("network_sizes", whole["sizes"])).copy()
    whole["sizes"][here], whole["network_sizes"][here] = taken, network_sizes_of(network)
    if np.array_equal(whole["sizes"], whole["network_sizes"]):
        del whole["network_sizes"]
    return made.assign_attrs(whole)


def choice_errors(dataset: xr.Dataset) -> np.ndarray | None:
    """Standard errors of mean rates (Hz) because other neurons could have been recorded, shape (population,).

    Realisations do not show them where all have the same neurons. With V the variance of the neurons' own rates, that
    of their means over realisations less that of the scatter between realisations, m recorded of N have the error
    sqrt(V/m (1 - m/N)).

    Returns:
        None where all neurons are recorded, there are no spikes, or one realisation only.

    Source: Cochran, Sampling Techniques (1977), eq. 2.8.
    """
    if not is_sample(dataset) or "spike_time" not in dataset or dataset.sizes.get("realisation", 1) < 2:
        return None
    spikes, whole = spikes_of(dataset), network_sizes_of(dataset)
    seconds = (spikes.stop - spikes.start) / 1000.0
    run = np.searchsorted(np.sort(spikes.realisations), spikes.run)
    runs, errors = len(spikes.realisations), []
    for k, (m, n) in enumerate(zip(spikes.sizes.tolist(), whole.tolist(), strict=True)):
        mine = spikes.population == k
        rates = np.bincount(run[mine] * m + spikes.neuron[mine], minlength=runs * m).reshape(runs, m) / seconds
        own = rates.mean(0).var(ddof=1) - rates.var(0, ddof=1).mean() / runs if m > 1 else np.nan
        errors.append(np.sqrt(max(own, 0.0) / m * (1.0 - m / n)))
    return np.array(errors)


def _places(neurons: int, taken: int, rng: np.random.Generator) -> np.ndarray:
    """The new number of each neuron, shape (neuron,); -1 for those that are not taken."""
    place = np.full(neurons, -1)
    place[np.sort(rng.choice(neurons, taken, replace=False))] = np.arange(taken)
    return place
