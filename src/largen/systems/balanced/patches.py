"""A balanced network on a ring or sheet as one of patches: the model that engines run, and what they give by patch.

With M patches and n neurons of a kind the jump of a pair is s_b alpha_ab kt_ab(x - y)/sqrt(n) and the drive
sqrt(n) h_a, kt_ab the kernel's profile averaged over patches, of mean 1. Every patch is a population of n/M neurons; in
the equations of such a network, which scale with a population's size, that is coupling alpha kt/sqrt(M) and drive
sqrt(M) h.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, real, require, shown
from largen.parameters import TimeSeries
from largen.space import place
from largen.space.geometry import AbstractSpace
from largen.space.kernels import CosineKernel
from largen.space.patches import by_pair, check_kernels, named, patch_profile, spectrum, warn_of_wide_patches
from largen.system import Arrays

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

DRIVES = ("drive", "input")
"""Fields that may depend on time, and on place."""
AVERAGED = ("mean", "variance", "third_cumulant", "rate")


class OverPatches(eqx.Module):
    """A function of time for every patch: one value per population, or already one per population and patch."""

    function: Any
    patches: int = eqx.field(static=True)
    factor: float = eqx.field(static=True)

    def __call__(self, time: Any) -> jax.Array:
        """Values at one time, shape (population x patch,)."""
        value = jnp.asarray(self.function(time))
        if value.ndim < 2:
            value = jnp.repeat(value, self.patches)
        return self.factor * value.reshape(-1)


def check(model: "BalancedNetwork") -> None:
    """Refuse a space without a kernel, a kernel without a space, and kernels that the space cannot hold."""
    for name in DRIVES:
        place.check(name, getattr(model, name), model.space)
    if model.space is None:
        require(model.kernel is None, "space", "be given together with `kernel`", None, "Such as ln.Ring(16).")
        return
    require(model.kernel is not None, "kernel", "be given together with `space`", None, "Such as ln.CosineKernel(0.2).")
    check_kernels(named(model.kernel, model.populations), model.space)


def depends_on_place(model: "BalancedNetwork") -> bool:
    """Whether drive or input is a function of place."""
    return any(place.of_place(getattr(model, name)) for name in DRIVES)


def over_patches(model: "BalancedNetwork") -> "BalancedNetwork":
    """The model with averages over the patches in place of functions of place: functions of time with a value each."""
    count = len(model.gain)
    given = {name: getattr(model, name) for name in DRIVES}
    found = {
        name: place.over_patches(name, value, count, model.space)
        for name, value in given.items()
        if place.of_place(value)
    }
    return model.replace(**found) if found else model


def profiles(model: "BalancedNetwork") -> np.ndarray:
    """kt_ab by offset target - source, shape (population, source, patch)."""
    count, made = len(model.gain), {}
    table = np.empty((count, count, model.space.count))
    for a, row in enumerate(by_pair(model.kernel, count)):
        for b, kernel in enumerate(row):
            key = repr(kernel)
            if key not in made:
                made[key] = patch_profile(kernel, model.space).ravel()
            table[a, b] = made[key]
    return table


def by_offset(space: AbstractSpace, values: np.ndarray) -> np.ndarray:
    """values[..., target - source] as matrices, shape (..., target patch, source patch)."""
    index = np.indices(space.shape).reshape(space.dimensions, -1)
    offset = [(i[:, None] - i) % m for i, m in zip(index, space.shape, strict=True)]
    return values[..., np.ravel_multi_index(offset, space.shape)]


def block_model(model: "BalancedNetwork", perturbation: Any = None) -> "BalancedNetwork":
    """The network of patches as a model without space: population a, patch x is its population a M + x.

    Args:
        model: A model with space.
        perturbation: (amplitude, mode): amplitude cos(q.x) is added to the means at the start of the excitatory
            populations.
    """
    model = over_patches(model)
    space, count = model.space, len(model.gain)
    m = space.count
    warn(model)
    blocks = by_offset(space, profiles(model))  # target, source, patch, patch
    coupling = np.einsum("ab,abxy->axby", np.asarray(model.coupling), blocks).reshape(count * m, count * m)
    root = float(np.sqrt(m))
    fractions = np.asarray(model.fractions)

    def spread(value: Any) -> Any:
        return np.repeat(value, m) if np.ndim(value) else value

    return type(model)(
        coupling=coupling / root,
        sign=np.repeat(model.sign, m),
        tau=spread(model.tau),
        gain=tuple(gain for gain in model.gain for _ in range(m)),
        drive=_over_patches(model.drive, m, root),
        input=_over_patches(model.input, m, 1.0),
        initial_mean=start_of(model, perturbation),
        initial_variance=np.repeat(model.initial_variance, m),
        fractions=np.repeat(fractions, m) / m if fractions.ndim else fractions,
        noise=spread(model.noise),
        synapses=model.synapses,
    )


def _over_patches(value: Any, patches: int, factor: float) -> Any:
    if isinstance(value, TimeSeries):
        return TimeSeries(value.times, factor * np.repeat(value.values, patches, axis=1))
    if callable(value):
        return OverPatches(value, patches, factor)
    return factor * np.repeat(value, patches)


def warn(model: "BalancedNetwork") -> None:
    """Warn of patches that are wide against a kernel."""
    warn_of_wide_patches(named(model.kernel, model.populations), model.space)


def start_of(model: "BalancedNetwork", perturbation: Any) -> np.ndarray:
    """Means of the patches at the start, shape (population x patch,); see `block_model`."""
    mean = np.repeat(model.initial_mean, model.space.count).reshape(len(model.gain), -1)
    return (mean + (np.asarray(model.sign) > 0)[:, None] * wave_of(model.space, perturbation)).ravel()


def wave_of(space: AbstractSpace, perturbation: Any) -> np.ndarray:
    """The perturbation of every patch at the start, shape (patch,); None is none."""
    if perturbation is None:
        return np.zeros(space.count)
    pair = isinstance(perturbation, tuple | list) and len(perturbation) == 2
    require(pair, "perturbation", "be a pair (amplitude, mode)", perturbation, "Such as (1e-3, 1).")
    return real("perturbation", perturbation[0]) * space.wave(perturbation[1])


def require_none(perturbation: Any) -> None:
    """Refuse a perturbation where there is no space."""
    if perturbation is not None:
        raise InputError(
            f"Argument `perturbation` must be left out for a model without `space`, but is {shown(perturbation)}."
        )


def require_finite_rank(model: "BalancedNetwork") -> None:
    """Refuse the infinite limit with a kernel whose spectrum falls towards zero without reaching it.

    Balance in mode k needs sqrt(n) times the kernel's multiplier there to be large: of a kernel with infinitely many
    ever smaller multipliers no n balances all modes, and what patches make of it depends on their number.
    """
    space = model.space
    for name, kernel in named(model.kernel, model.populations).items():
        if isinstance(kernel, CosineKernel):
            continue
        values = np.abs(spectrum(patch_profile(kernel, space))) / space.count
        raise InputError(
            f"Argument `n` must be given for `{name}`, a {type(kernel).__name__}, but is None: its Fourier multipliers "
            f"fall from 1 to {values.min():.1g} on these patches and go on falling on finer ones, so that a network of "
            "any n balances some of its modes and not the others, and there is no limit. Say n=..., or take a "
            "CosineKernel, which has a last mode."
        )


def refuse(model: "BalancedNetwork", what: str) -> None:
    """Refuse what is not known for a model with space."""
    if model.space is not None:
        raise InputError(
            f"Argument `space` must be None for {what}, but is {shown(model.space)}. With space there are simulate, "
            "solve_limit and analysis.dispersion."
        )


class Layout(NamedTuple):
    """How the patches' results become those of the populations.

    Attributes:
        model: The model with space.
        sizes: Neurons of each patch, shape (population, patch); None in the infinite limit.
    """

    model: "BalancedNetwork"
    sizes: np.ndarray | None

    def arrays(self, found: Arrays, perturbation: Any = None) -> Arrays:
        """Means over the patches by observable, and every patch's values in `patch_mean` and the like."""
        model, space = self.model, self.model.space
        count = len(model.gain)
        values = dict(found.values)
        for name in AVERAGED:
            by_patch = np.asarray(values[name]).reshape(count, space.count, -1)
            values[name] = by_patch.mean(1)
            values[f"patch_{name}"] = by_patch
        coords = {name: value for name, value in found.coords.items() if name != "neuron"}
        coords["patch"] = ("patch", np.arange(space.count), {"long_name": "patch", "units": "1"})
        for axis, column in zip("xy", space.centres().T, strict=False):
            coords[axis] = ("patch", column, {"long_name": f"centre, {axis}", "units": "1"})
        attrs = dict(found.attrs)
        if perturbation is not None:
            attrs["perturbation"] = f"{float(perturbation[0]):g} in mode {space.mode(perturbation[1])}"
        if self.sizes is not None:
            coords["patch_size"] = (("population", "patch"), self.sizes, {"long_name": "neurons", "units": "1"})
            values |= self._spikes(values)
            if "neuron" in found.coords:
                coords["neuron"] = self._neurons(found.coords["neuron"])
        return Arrays(values, coords, attrs, found.status, found.stopped_at)

    def _spikes(self, values: dict[str, Any]) -> dict[str, Any]:
        """Recorded spikes with populations, and neurons counted within them, patch after patch."""
        assert self.sizes is not None
        if "spike_time" not in values:
            return {}
        before = np.cumsum(self.sizes, axis=1) - self.sizes
        home, m = values["spike_population"], self.model.space.count
        return {
            "spike_population": (home // m).astype(np.int32),
            "spike_neuron": (values["spike_neuron"] + before.ravel()[home]).astype(np.int32),
            "spike_source": (values["spike_source"] // m).astype(np.int32),
        }

    def _neurons(self, labels: np.ndarray) -> np.ndarray:
        """Labels of recorded neurons: `e(3):0` is the first neuron of patch 3."""
        populations, m = self.model.populations, self.model.space.count
        old = block_labels(self.model)
        new = {old[p]: self.model.space.label(populations[p // m], p % m) for p in range(len(old))}
        return np.array([_relabelled(str(label), new) for label in labels])


def block_labels(model: "BalancedNetwork") -> tuple[str, ...]:
    """Labels of the patches as populations of `block_model`."""
    from largen.system import labels_of

    return labels_of(np.repeat(np.asarray(model.sign) < 0, model.space.count))


def _relabelled(label: str, new: dict[str, str]) -> str:
    home, colon, neuron = label.partition(":")
    if colon:
        return f"{new[home]}:{neuron}"
    return f"{new[label[0]]}:{label[1:]}"  # a single patch of its kind: `e0`


def layout_of(model: "BalancedNetwork", n: int | None) -> Layout:
    """How results of n neurons become those of the populations."""
    if n is None:
        return Layout(model, None)
    return Layout(model, patch_sizes(model, n))


def patch_sizes(model: "BalancedNetwork", n: int) -> np.ndarray:
    """Neurons of every patch, shape (population, patch); any two of a population differ by one at most."""
    from largen.system import split

    count, m = len(model.gain), model.space.count
    shares = np.repeat(np.broadcast_to(model.fractions, (count,)), m)
    return split(n, shares, 3, model.space.labels(model.populations)).reshape(count, m)
