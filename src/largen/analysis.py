"""Analysis of runs and limits under one name: statistics, stationary states, branches, portraits, theories.

A theory belongs to the system that has it; here it is asked for and labelled.
"""

from typing import Any

import numpy as np
import xarray as xr

from largen.bifurcation.cycles import limit_cycle as limit_cycle
from largen.bifurcation.diagram import follow as follow
from largen.bifurcation.equations import Flow as Flow
from largen.bifurcation.equations import Map as Map
from largen.bifurcation.lyapunov import lyapunov as lyapunov
from largen.bifurcation.phase_portrait import phase_portrait as phase_portrait
from largen.bifurcation.stationary_states import fixed_points as fixed_points
from largen.checks import InputError, increasing_times, integer, require, vector
from largen.statistics.alternation import event_statistics as event_statistics
from largen.statistics.correlations import asynchrony as asynchrony
from largen.statistics.events import firing_events as firing_events
from largen.statistics.events import orbit as orbit
from largen.statistics.lags import autocorrelation_time as autocorrelation_time
from largen.statistics.lags import correlation_against_lag as correlation_against_lag
from largen.statistics.metastability import metastability as metastability
from largen.statistics.sampling import sample_neurons as sample_neurons
from largen.statistics.signals import labelled
from largen.statistics.space import activity_map as activity_map
from largen.statistics.space import correlation_function as correlation_function
from largen.statistics.space import spectrum as spectrum
from largen.statistics.space import wave as wave
from largen.statistics.spectra import power_spectrum as power_spectrum
from largen.statistics.spike_trains import spike_trains as spike_trains
from largen.statistics.summary import summary as summary
from largen.system import AbstractSystem, Table, check_options, finite_arithmetic, require_model
from largen.systems.rate.tables import chaotic_variance as chaotic_variance

__all__ = (
    "Flow",
    "Map",
    "activity_map",
    "asynchrony",
    "autocorrelation_time",
    "chaos_onset",
    "chaotic_variance",
    "correlation_against_lag",
    "correlation_function",
    "dispersion",
    "event_statistics",
    "firing_events",
    "fixed_points",
    "fluctuations",
    "follow",
    "limit_cycle",
    "lyapunov",
    "metastability",
    "onset",
    "orbit",
    "patch_convergence",
    "phase_portrait",
    "power_spectrum",
    "rate_function",
    "sample_neurons",
    "spectrum",
    "spike_trains",
    "stationary",
    "summary",
    "wave",
)


def fluctuations(system: AbstractSystem, *, n: int, times: Any = None, **options: Any) -> xr.Dataset:
    """Predict the covariances of population or neuron averages of a network of n neurons.

    Balanced system: linear noise about the stationary state (option `modes`): `mean_covariance`,
    `variance_covariance`, `mean_variance_covariance` and `pair_correlation`, dims (population, source).
    Rate system, discrete time (options `lags`, `samples`, `seed`): variances of `mean` (time), `covariance` and
    `second_moment` (lag, time, time_), the part `_frozen` by the weights and the Monte Carlo `_error`. They are those
    of the law averaged over the weights; for one network most of the fluctuation is frozen.
    Populations of rate neurons, discrete time, independent weights (options `samples`, `seed`): the same by
    population, with `rate`, `latent`, and the variances `_field` without feedback.

    Args:
        system: A model whose system has a theory of fluctuations.
        n: Total number of neurons.
        times: Output times of the rate system, shape (time,).
        options: See above.

    Raises:
        InputError: The system has no fluctuation theory.
        LimitError: There is no single stable stationary state.
    """
    n = integer("n", n, low=2)
    check_options(require_model("system", system), "fluctuations", options)
    times = None if times is None else increasing_times("times", times, unit=system.time_unit)
    with finite_arithmetic(system):
        return _labelled(system, "fluctuations", system.fluctuations(n=n, times=times, **options), n=n)


def stationary(system: AbstractSystem, **options: Any) -> xr.Dataset:
    """Solve the stationary regime of a rate network: `covariance` (lag, time), `frozen_covariance` (lag), `mean`.

    `time` is the time between the two states. Options: `lags`, `rtol`, `atol`. Of a RatePopulations by population, with
    `rate`, `latent`, `variance` and `frozen`, and the option `start`; see `RatePopulations.stationary`.

    Raises:
        InputError: The system has no theory of a stationary regime.
        LimitError: There is no stationary regime, or it was not reached.
    """
    check_options(require_model("system", system), "stationary", options)
    with finite_arithmetic(system):
        return _labelled(system, "stationary", system.stationary(**options))


def onset(
    system: AbstractSystem,
    parameter: str,
    *,
    low: float | None = None,
    high: float | None = None,
    between: tuple[float, float] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Find by theory where a homogeneous or static state becomes unstable.

    Populations of rate neurons (n to infinity): the static state is followed from the end of the interval where it is
    stable. `chaos_onset` is the same for one ring and the standard deviation of its weights. A SpikingNetwork on a ring
    or sheet: the mode of the dispersion relation that begins to grow.

    Args:
        system: A RatePopulations without noise, with independent weights, or a SpikingNetwork with space.
        parameter: A number of the model, such as `strength[e,e]` or `kernel[e,i].width`; of a RatePopulations also
            `mean_weight*`, a factor of a whole field.
        low: One end of the interval that is searched.
        high: The other end.
        between: Both ends, instead of `low` and `high`.
        options: Of rate neurons `steps` in which the interval is searched; of a SpikingNetwork those of `dispersion`.

    Returns:
        `onset`. Of rate neurons `static_mean` and `static_variance` (population); `attrs["by"]` says whether the "bulk"
        of the spectrum (chaos) or an "outlier" crosses. Of a SpikingNetwork `waves` (axis) and `frequency` (Hz) of the
        mode, `homogeneous_rate` (population), and in `attrs` the kind of pattern.

    Raises:
        InputError: A system without this theory, noise or correlated weights, a name that means several numbers.
        LimitError: There is no onset in the interval.
    """
    if between is not None:
        require(low is None and high is None, "between", "not be given together with `low` or `high`", between)
        require(np.shape(between) == (2,), "between", "be two numbers", between)
        low, high = between
    if low is None or high is None:
        raise InputError("Argument `between` must be given, the two ends of the interval, such as between=(2.0, 4.0).")
    check_options(require_model("system", system), "onset", options)
    with finite_arithmetic(system):
        return _labelled(system, "onset", system.onset(parameter, low=low, high=high, **options))


def dispersion(
    system: AbstractSystem,
    *,
    n: int | None = None,
    modes: int | None = None,
    branches: int = 4,
    **options: Any,
) -> xr.Dataset:
    """Growth rates and frequencies of waves about the homogeneous state of a ring or sheet.

    Args:
        system: A model with `space`.
        n: Total number of neurons; None for the model's own size.
        modes: How many distinct modes, those of the lowest wave numbers; None for 50, or all where there are fewer.
        branches: How many branches of each mode, the fastest growing first.
        options: The system's own: of a SpikingNetwork `closure` ("joint", "white"), `bin_width`, `linear_in_bin`,
            `affine_drift`, `min_support`, `dt`.

    Returns:
        `growth` (1/s of a SpikingNetwork) and `frequency` (Hz), dims (mode, branch); `waves` (mode, axis), `kx`, `ky`,
        `wave_number` (mode), and the homogeneous state. `attrs` say which mode leads, whether it grows, and into what.

    Raises:
        InputError: A system without a dispersion relation, or a model without space.
        LimitError: The homogeneous state was not found.
    """
    check_options(require_model("system", system), "dispersion", options)
    if n is not None:
        n = integer("n", n, low=1)
        system.sizes(n)
    if getattr(system, "space", None) is None:
        raise InputError(
            "Argument `space` must be given for a dispersion relation: a Ring or a Torus, with a `kernel`."
        )
    with finite_arithmetic(system):
        table = system.dispersion(n=n, modes=modes, branches=branches, **options)
        return _labelled(system, "dispersion relation", table)


def patch_convergence(
    system: AbstractSystem, patches: Any, *, n: int | None = None, modes: int | None = None, **options: Any
) -> xr.Dataset:
    """Compare the growth of waves on a ring or sheet that is cut into fewer and more patches.

    Patches of side w take a wave of wave number q as if its kernels were wider by w^2/6: what a wave feels is smaller
    by about (q w)^2/12, so that growth rates approach those of a ring without patches as w^2.

    Args:
        system: A model with `space`; its own patches do not matter.
        patches: Numbers of patches to compare, at least two, of a sheet along each axis (a pair for unequal ones).
        n: Total number of neurons, as of `dispersion`.
        modes: How many distinct modes, as of `dispersion`.
        options: As of `dispersion`.

    Returns:
        Of the modes that all of them have `growth` and `frequency` of the leading branch and `difference`, the growth
        less that with the smallest patches, dims (patches, mode); `side` (patches, axis) of a patch; `waves`
        (mode, axis); and the rates of the homogeneous state, dims (patches, population). `patches` counts all patches.

    Raises:
        InputError: As `dispersion`, or fewer than two different numbers of patches.
        LimitError: As `dispersion`.
    """
    space = getattr(require_model("system", system), "space", None)
    if space is None:
        raise InputError("Argument `space` must be given to compare patches: a Ring or a Torus, with a `kernel`.")
    listed = list(patches) if np.iterable(patches) else [patches]
    spaces = {each.count: each for each in (type(space)(m, space.length, space.images) for m in listed)}
    require(len(spaces) >= 2, "patches", "hold at least two different numbers of patches", patches)
    spaces = {count: spaces[count] for count in sorted(spaces)}
    found = [
        dispersion(system.replace(space=each), n=n, modes=modes, branches=1, **options) for each in spaces.values()
    ]
    waves = [list(map(tuple, one["waves"].values.tolist())) for one in found]
    common = [wave for wave in waves[0] if all(wave in others for others in waves)]
    picked = [
        one.isel(branch=0, mode=[held.index(wave) for wave in common]) for one, held in zip(found, waves, strict=True)
    ]
    unit = str(picked[0]["growth"].attrs["units"])
    growth = np.stack([one["growth"].values for one in picked])
    frequency = np.stack([one["frequency"].values for one in picked])
    dims, rate = ("patches", "mode"), "homogeneous_rate"
    variables: dict[str, Any] = {
        "growth": (dims, growth, unit, "growth rate"),
        "frequency": (dims, frequency, str(picked[0]["frequency"].attrs["units"]), "frequency"),
        "difference": (dims, growth - growth[-1], unit, "growth less that with the smallest patches"),
        "side": (("patches", "axis"), np.stack([each.sides for each in spaces.values()]), "length", "side of a patch"),
        "waves": (("mode", "axis"), np.array(common, np.int64), "1", "waves around each axis"),
        rate: (
            ("patches", "population"), np.stack([one[rate].values for one in picked]),
            str(picked[0][rate].attrs["units"]), "firing rate of the homogeneous state",
        ),
    }  # fmt: skip
    coords = {
        "patches": (np.array(list(spaces)), "1", "number of patches"),
        "population": (picked[0]["population"].values, "1", "population"),
    }
    return _labelled(system, "patch convergence", Table(variables, coords, {}))


def rate_function(system: AbstractSystem, mean: Any, covariance: Any) -> xr.Dataset:
    """Rate function of large deviations of a discrete-time rate network, for a Gaussian field.

    H per neuron of the field with this `mean` (time,) and `covariance` (lag, time, time), with its two parts; it is
    zero at the limit alone. Minimising it over Gaussian fields gives an upper bound of the true exponent. It belongs
    to the law averaged over the weights.

    Raises:
        InputError: The system has no rate function, no noise or initial variance, or a covariance that is none.
    """
    values = vector("mean", mean), vector("covariance", covariance, dims=3)
    with finite_arithmetic(require_model("system", system)):
        return _labelled(system, "rate function", system.rate_function(*values))


def chaos_onset(system: AbstractSystem, *, gains: Any = None) -> xr.Dataset:
    """Find by theory (n to infinity) where a noiseless rate network with independent weights becomes chaotic.

    g is the standard deviation of a weight times sqrt(n); the model's own value is ignored. The onset is where the
    static state of the network loses its stability. For tanh without thresholds, in continuous time with tau = 1, it is
    g = 1, and above it the variance of the chaotic state grows as Delta_0(g). `analysis.lyapunov` measures the exponent
    of a finite network.

    Args:
        system: A RateNetwork without noise, with an UncorrelatedKernel.
        gains: Values of g at which Delta_0 is wanted (tanh without thresholds, continuous time), shape (gain,).

    Returns:
        `onset`, the value of g; `static_mean` and `static_variance` of the static state there; with `gains` also
        `variance` (gain), Delta_0: 0 up to the onset.

    Raises:
        InputError: A system without this theory, noise or correlated weights.
        LimitError: There is no onset.
    """
    values = None
    if gains is not None:
        values = np.atleast_1d(vector("gains", gains, dims=None))
        require(values.ndim == 1 and np.all(values >= 0), "gains", "be a vector of numbers of at least 0", gains)
    with finite_arithmetic(require_model("system", system)):
        return _labelled(system, "chaos onset", system.chaos_onset(values))


def _labelled(system: AbstractSystem, kind: str, table: Table | xr.Dataset, **attrs: Any) -> xr.Dataset:
    if isinstance(table, xr.Dataset):  # labelled by the system itself
        return table
    return labelled(table.variables, table.coords, {"kind": kind, "system": system.system, **attrs, **table.attrs})
