"""The theories of populations, as methods of the model that give labelled results."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, increasing_times, integer
from largen.numerics.lyapunov import TangentMap
from largen.system import AbstractSystem, Table

if TYPE_CHECKING:
    import xarray as xr


class AbstractAnalyses(AbstractSystem):
    """What a network of populations can be asked beyond its limit in time."""

    @property
    def _model(self) -> Any:
        """The model, a RatePopulations."""
        return self

    def stationary(self, *, start: Any = None, lags: int = 0, rtol: float = 1e-8, atol: float = 1e-10) -> "xr.Dataset":
        """The stationary regime: `mean`, `rate`, `latent`, `variance`, `frozen`, `covariance` (population, time).

        Args:
            start: None for the regime that the model's initial law leads to; else (mean, latent, variance) by
                population and rank, since several may coexist.
            lags: Largest lag on the ring of `lag_covariance` and `lag_frozen`; 0 leaves them out.
            rtol: Relative tolerance.
            atol: Absolute tolerance.

        Returns:
            Dataset; `static` and `stable` ("not checked" of a regime that fluctuates) in its attributes. A static
            regime of independent weights comes with `bulk_edge`, outliers and `exponent`.
        """
        from largen.systems.rate.populations import stationary, tables

        lags = integer("lags", lags, low=0)
        return tables.of_stationary(self._model, stationary.solve(self._model, start=start, rtol=rtol, atol=atol), lags)

    def static_states(self, *, starts: Any = None, count: int = 24) -> "xr.Dataset":
        """Static states of the noiseless limit with bulk edge, outliers and stability, the most stable first.

        Args:
            starts: Starts of Newton's method (means, latents, variances), shape (start, 2 population + rank), or None.
            count: Number of starts where none are given.
        """
        from largen.systems.rate.populations import static_states, tables

        return tables.of_static_states(self._model, static_states.solve(self._model, starts, count=count))

    def lyapunov_exponent(self, *, start: Any = None, rtol: float = 1e-8, atol: float = 1e-10) -> "xr.DataArray":
        """The largest Lyapunov exponent in the stationary regime, with the noise frozen: a number with attributes.

        It is that of random directions; `attrs["collective"]` says whether collective ones were checked: in a static
        state they are included. Arguments as for `stationary`.
        """
        from largen.systems.rate.populations import exponent, tables

        return tables.of_exponent(exponent.solve(self._model, start=start, rtol=rtol, atol=atol))

    def dimension(self, *, start: Any = None, rtol: float = 1e-8) -> "xr.Dataset":
        """Participation ratio over n of the covariance matrix of rates; see `populations.dimension.solve`."""
        from largen.systems.rate.populations import dimension, tables

        return tables.of_dimension(dimension.solve(self._model, start=start, rtol=rtol))

    def fluctuations(self, *, n: int, times: Any = None, samples: int = 100_000, seed: int = 0) -> "xr.Dataset":
        """Variances over draws of averages over n neurons in discrete time, total and frozen.

        Args:
            n: Neurons.
            times: Consecutive integers, shape (time,).
            samples: Samples of a neuron, from which covariances over neurons are estimated.
            seed: Their seed.

        Returns:
            Dataset with variances of `mean`, `rate`, `second_moment`, `covariance` and `latent`; `_frozen` is the part
            shared by two replicas, `_field` what would be left without feedback, `_error` the Monte Carlo error.
        """
        from largen.systems.rate.populations import fluctuations, tables

        times = increasing_times("times", times)
        return tables.of_fluctuations(
            self._model, fluctuations.solve(self._model, times, samples=samples, seed=seed), times, n
        )

    def phases(self, over: Mapping[str, Any], *, rtol: float = 1e-4, atol: float = 1e-6) -> "xr.Dataset":
        """Largest Lyapunov exponent and structure over two parameters, for `plot.phases`; see `phases.find`.

        Args:
            over: Two parameters with their values, such as {"weight_variance[e,e]": [...], "mean_weight*": [...]}.
            rtol: Relative tolerance.
            atol: Absolute tolerance.
        """
        from largen.systems.rate.populations import phases, tables

        return tables.of_phases(phases.find(self._model, over, rtol=rtol, atol=atol))

    def jacobian(self, *, n: int = 500, seed: int = 0) -> "xr.Dataset":
        """Eigenvalues of one drawn network at rest, with the predicted bulk and outliers, for `plot.jacobian`.

        Args:
            n: Neurons.
            seed: Seed of the draw.
        """
        from largen.systems.rate.populations import jacobian, tables

        return tables.of_jacobian(jacobian.solve(self._model, n=n, seed=seed), n)

    def tangent_dynamics(
        self, *, n: int | None, dt: float | None, rng: Callable[..., np.random.Generator] | None
    ) -> TangentMap:
        """One draw of the network without noise, with tangent vectors; see `tangent.of_network`."""
        from largen.systems.rate.populations import tangent

        return tangent.of_network(self._model, n, dt, rng)

    def onset(self, parameter: str, *, low: float, high: float, steps: int = 24) -> "xr.Dataset":
        """Where the static state becomes unstable as one parameter grows or falls; see `populations.onset.find`."""
        from largen.systems.rate.populations import onset, tables

        return tables.of_onset(self._model, parameter, onset.find(self._model, parameter, low, high, steps=steps))

    def chaos_onset(self, gains: np.ndarray | None) -> Table:
        """Refused: a parameter has to be named."""
        raise InputError("For populations name the parameter that is changed: largen.analysis.onset(model, ...).")
