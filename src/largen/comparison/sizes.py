"""Numbers of neurons of the two sides: which go together, and what a sample of the neurons can be compared in."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.comparison.samples import Sample
from largen.statistics.labels import is_sample, network_sizes_of, population_labels, sizes_of
from largen.statistics.sampling import choice_errors

REMEDY = "of another number of neurons: compare with `analysis.sample_neurons` of a network"


def of_unequal_samples(
    network: xr.Dataset, limit: xr.Dataset, ours: Mapping[str, Sample], theirs: Mapping[str, Sample]
) -> tuple[Mapping[str, Sample], Mapping[str, Sample], dict[str, str]]:
    """What both sides say whatever share of the neurons each has, and why the rest is left out.

    Time means are per neuron, and a sample tells them without bias. A statistic of the whole network's rate is another
    one for another number of neurons, because the noise of counting is part of it.
    """
    sampled = is_sample(network) or is_sample(limit)
    if not sampled or ("sizes" in limit.attrs and np.array_equal(sizes_of(network), sizes_of(limit))):
        return ours, theirs, {}
    kept = [{k: one for k, one in side.items() if one.feature is None or one.feature.of_any_sample}
            for side in (ours, theirs)]  # fmt: skip
    dropped = [name for name in ours if name in theirs and name not in kept[0]]
    return kept[0], kept[1], {", ".join(dropped): REMEDY} if dropped else {}


def with_choice(side: xr.Dataset, samples: Mapping[str, Sample]) -> Mapping[str, Sample]:
    """The samples of one side, mean rates with the error that the choice of the recorded neurons makes."""
    choice = choice_errors(side) if "rate" in samples else None
    if choice is None:
        return samples
    rate = samples["rate"]
    measured = rate.measured._replace(error=np.hypot(rate.measured.error, choice))
    return {**samples, "rate": rate._replace(measured=measured)}


def require_sizes(network: xr.Dataset, limit: xr.Dataset) -> bool:
    """Whether the limit is that of the network's size; it must be that or the infinite one."""
    size, of_limit = float(network.attrs["n"]), float(limit.attrs["n"])
    if of_limit != size and np.isfinite(of_limit):
        remedy = f"solve it with n=None or n={size:g}"
        if network.attrs["kind"] == "recording":
            remedy += ", or if the recorded neurons are a sample, give `network_sizes` of recording or read_recording"
        raise InputError(f"The limit was solved at n = {of_limit:g}, but the network has n = {size:g}: {remedy}.")
    _require_same_populations(network, limit)
    return of_limit == size


def _require_same_populations(network: xr.Dataset, limit: xr.Dataset) -> None:
    """Refuse a recording whose network's populations have other numbers of neurons than the limit's."""
    if network.attrs["kind"] != "recording" or "sizes" not in limit.attrs:
        return
    theirs = network_sizes_of(limit)
    for label, ours, other in zip(population_labels(network), network_sizes_of(network), theirs, strict=True):
        if ours != other:
            raise InputError(
                f"The limit has {other} neurons of `{label}`, but the network of the recording has {ours}: change the "
                "model's sizes, or say in `network_sizes` of recording or read_recording how many the network has."
            )
