"""The fields of the spiking network, what they must be together, and which of them an engine needs to know.

Times in ms, rates in Hz (spikes per neuron and second), potentials in one unit of the user's choice: mV, or the
hundredths of the threshold of Chang et al. Every field beyond those of Chang et al. has a default that means their
network, and is left out of files while it has it.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from largen.parameters import TimeSeries, parameter
from largen.space import KERNELS, SPACES
from largen.system import AbstractFlowSystem, labels_of, split
from largen.systems.spiking import relations
from largen.systems.spiking.relations import CONNECTIONS
from largen.systems.spiking.units import check_units

_PROBABILITY = ((0.8, 0.8), (0.8, 0.8))
_PER = ("population",)
_PAIR = ("population", "source")


class AbstractIntegrateAndFire(AbstractFlowSystem):
    """Fields of the spiking network, with the relations between them."""

    size: Any = parameter((300, 100), symbol="N_a", dims=_PER, kind="integer", low=1, doc="Neurons per population.")
    inhibitory: Any = parameter((False, True), dims=_PER, kind="flag", doc="Whether a population inhibits its targets.")
    strength: Any = parameter(
        ((0.95, 2.71), (1.25, 2.45)),
        symbol="s_{ab}",
        dims=_PAIR,
        low=0.0,
        quantities=("potential", "current"),
        doc="Strength of one spike's synaptic kick, [target][source], in units of the potential; pA with a "
        "`capacitance`.",
    )
    probability: Any = parameter(
        _PROBABILITY,
        symbol="p_{ab}",
        dims=_PAIR,
        low=0.0,
        high=1.0,
        optional=True,
        filled=True,
        doc="Probability that a spike of the source reaches a neuron of the target, [target][source]; one number for "
        "all pairs. With `space` its mean over all distances.",
    )
    decay: Any = parameter(
        ((1.4, 4.5), (1.2, 4.5)),
        unit="ms",
        symbol=r"\tau_{ab}",
        dims=_PAIR,
        above=0.0,
        doc="Synaptic time constant: mean time for which a received spike is pending, [target][source].",
    )
    external_rate: Any = parameter(
        (7.0, 7.0),
        unit="1/ms",
        symbol=r"\lambda_a",
        dims=_PER,
        low=0.0,
        scalar=True,
        function=True,
        components=(TimeSeries,),
        doc="Rate of external kicks, constant or a function of time.",
    )
    membrane_time: Any = parameter(
        np.inf,
        unit="ms",
        symbol=r"\tau_m",
        dims=_PER,
        above=0.0,
        infinite=True,
        scalar=True,
        doc="Membrane (leak) time constant; infinite means no leak. The external drive is divided by it if finite, "
        "unless `external_strength` is given.",
    )
    refractory_time: Any = parameter(
        4.0,
        unit="ms",
        symbol=r"\tau_r",
        dims=_PER,
        low=0.0,
        scalar=True,
        doc="Mean duration of the refractory period; 0 for none.",
    )
    threshold: Any = parameter(
        100.0, symbol="M", dims=_PER, scalar=True, quantities=("potential",), doc="Threshold, above the reset."
    )
    reversal: Any = parameter(
        -66.0,
        symbol="V_I",
        quantities=("potential",),
        doc="Reversal potential of inhibition, at most the reset; without meaning where inhibition is a current.",
    )
    refractory: str = parameter(
        "exponential", kind="choice", choices=("exponential", "fixed"), doc="Law of the refractory period's duration."
    )
    connectivity: str = parameter(
        "annealed",
        kind="choice",
        choices=("annealed", "quenched", "neurons"),
        doc="Targets drawn afresh at every spike, or one fixed random graph (self-links kept); of a network with "
        "`space` by the distance of patches, or (neurons) of the neurons themselves.",
    )
    names: Any = parameter(
        None, kind="labels", optional=True, quiet=True, doc="Labels of the populations; e and i, numbered, if absent."
    )
    neuron: str = parameter(
        "leaky",
        kind="choice",
        choices=("leaky", "quadratic", "exponential"),
        quiet=True,
        doc="How the potential moves between spikes.",
    )
    rest: Any = parameter(
        0.0,
        symbol="E_a",
        dims=_PER,
        scalar=True,
        quiet=True,
        quantities=("potential",),
        doc="Potential to which the leak goes.",
    )
    reset: Any = parameter(
        0.0,
        symbol="V_r",
        dims=_PER,
        scalar=True,
        quiet=True,
        quantities=("potential",),
        doc="Potential after a spike, below the threshold.",
    )
    soft_threshold: Any = parameter(
        None,
        symbol="V_T",
        dims=_PER,
        scalar=True,
        optional=True,
        quiet=True,
        quantities=("potential",),
        doc="Of an exponential neuron, where its spike begins; of a quadratic one, its unstable fixed point.",
    )
    slope: Any = parameter(
        None,
        symbol=r"\Delta_T",
        dims=_PER,
        above=0.0,
        scalar=True,
        optional=True,
        quiet=True,
        quantities=("potential",),
        doc="Of an exponential neuron, the slope of its spike; of a quadratic one, the scale of its parabola.",
    )
    synapse: str = parameter(
        "pending",
        kind="choice",
        choices=("pending", "release", "exponential", "delta"),
        quiet=True,
        doc="What a spike that arrives does: acts while it is pending, kicks when it is released, adds to a decaying "
        "current, or kicks at once.",
    )
    inhibition: str = parameter(
        "conductance",
        kind="choice",
        choices=("conductance", "current"),
        quiet=True,
        doc="Whether inhibition weakens towards its reversal potential.",
    )
    delay: Any = parameter(
        0.0,
        unit="ms",
        symbol="d_{ab}",
        dims=_PAIR,
        low=0.0,
        scalar=True,
        quiet=True,
        doc="Delay of a spike, [target][source]; 0 acts in the next step.",
    )
    delay_spread: Any = parameter(
        0.0,
        dims=_PAIR,
        low=0.0,
        scalar=True,
        quiet=True,
        doc="Standard deviation of a normal delay over its mean, [target][source].",
    )
    strength_spread: Any = parameter(
        0.0,
        dims=_PAIR,
        low=0.0,
        scalar=True,
        quiet=True,
        doc="Standard deviation of a normal strength over its mean, [target][source].",
    )
    in_degree: Any = parameter(
        None,
        symbol="K_{ab}",
        dims=_PAIR,
        kind="integer",
        low=0,
        scalar=True,
        optional=True,
        quiet=True,
        doc="Inputs of a neuron from each source, [target][source], drawn with replacement; instead of `probability`.",
    )
    synapses: Any = parameter(
        None,
        symbol="M_{ab}",
        dims=_PAIR,
        kind="integer",
        low=0,
        optional=True,
        quiet=True,
        doc="Synapses in all, [target][source], both ends drawn with replacement; instead of `probability`.",
    )
    capacitance: Any = parameter(
        None,
        unit="pF",
        symbol="C_a",
        dims=_PER,
        above=0.0,
        scalar=True,
        optional=True,
        quiet=True,
        quantities=("capacitance",),
        doc="Membrane capacitance; with it strengths are currents in pA.",
    )
    external_strength: Any = parameter(
        None,
        symbol="J_a",
        dims=_PER,
        scalar=True,
        optional=True,
        quiet=True,
        quantities=("potential", "current"),
        doc="Size of an external kick, not divided by the membrane time; one unit that is, if absent.",
    )
    external: str = parameter(
        "gaussian",
        kind="choice",
        choices=("gaussian", "poisson"),
        quiet=True,
        doc="Law of the external kicks in a step.",
    )
    external_decay: Any = parameter(
        0.0,
        unit="ms",
        dims=_PER,
        low=0.0,
        scalar=True,
        quiet=True,
        doc="Time constant of the exponential synapse of external kicks; 0 for kicks of the potential.",
    )
    external_mean: Any = parameter(
        0.0,
        dims=_PER,
        scalar=True,
        function=True,
        components=(TimeSeries,),
        quiet=True,
        quantities=("drift",),
        doc="Further constant drive, in units of the potential per ms, constant or a function of time, with `space` "
        "also of place.",
    )
    external_sd: Any = parameter(
        0.0,
        dims=_PER,
        low=0.0,
        scalar=True,
        function=True,
        components=(TimeSeries,),
        quiet=True,
        quantities=("noise",),
        doc="White noise, in units of the potential per root of a ms, constant or a function of time.",
    )
    initial_mean: Any = parameter(
        None,
        dims=_PER,
        scalar=True,
        optional=True,
        quiet=True,
        quantities=("potential",),
        doc="Mean of the normal law of the first potentials; the reset if absent.",
    )
    initial_spread: Any = parameter(
        0.0,
        dims=_PER,
        low=0.0,
        scalar=True,
        quiet=True,
        quantities=("potential",),
        doc="Standard deviation of the first potentials.",
    )
    adaptation_step: Any = parameter(
        0.0,
        symbol="b",
        dims=_PER,
        scalar=True,
        quiet=True,
        quantities=("drift",),
        doc="What a neuron's own spike adds to its adaptation, which is taken from the drift.",
    )
    adaptation_time: Any = parameter(
        100.0,
        unit="ms",
        symbol=r"\tau_w",
        dims=_PER,
        above=0.0,
        scalar=True,
        quiet=True,
        doc="Time constant with which adaptation decays.",
    )
    space: Any = parameter(
        None, kind="component", components=SPACES, optional=True, quiet=True, doc="Ring or sheet; none: no distances."
    )
    kernel: Any = parameter(
        None,
        kind="component",
        dims=_PAIR,
        scalar=True,
        components=KERNELS,
        optional=True,
        quiet=True,
        doc="How the probability falls with distance, [target][source], or one kernel for all pairs.",
    )
    positions: str = parameter(
        "grid",
        kind="choice",
        choices=("grid", "random"),
        quiet=True,
        doc='Where neurons are with connectivity "neurons": on a grid of each population, or anywhere.',
    )
    clip: Any = parameter(
        False,
        kind="flag",
        quiet=True,
        doc="Whether a kernel may lose more than 1 % of its synapses where its probability would exceed 1.",
    )

    def __post_init__(self):
        if self.probability is None and self.in_degree is None and self.synapses is None:
            self.probability = _PROBABILITY
        if isinstance(self.probability, int | float | np.number) or (
            isinstance(self.probability, np.ndarray) and not self.probability.ndim
        ):
            count = np.size(self.size)
            self.probability = np.full((count, count), self.probability)

    def _check_relations(self) -> None:
        relations.check(self)

    # Names and sizes ---------------------------------------------------------------------------------------------

    @property
    def populations(self) -> tuple[str, ...]:
        """Labels: `names`, else `e` and `i`, numbered from 1 where there are several of a kind."""
        return labels_of(self.inhibitory) if self.names is None else self.names

    @property
    def reference_size(self) -> int:
        """Total number of neurons of the model as given."""
        return int(np.sum(self.size))

    def sizes(self, n: int) -> np.ndarray:
        """Split n as `size` does, by largest remainders; every population must get a neuron."""
        return split(n, self.size, 1, self.populations)

    def scaled(self, n: int) -> Self:
        """Return the model with n neurons, sizes split as here.

        With `probability` strengths are multiplied by reference_size/n, so that the mean input stays. `in_degree` stays
        as it is, and of `synapses` there are as many per target neuron as here: then strengths stay too.
        """
        if n == self.reference_size:
            return self
        size = self.sizes(n)
        if self.in_degree is not None:
            return self.replace(size=size)
        if self.synapses is not None:
            per_target = np.asarray(self.synapses) / np.asarray(self.size, np.float64)[:, None]
            return self.replace(size=size, synapses=np.rint(per_target * size[:, None]).astype(np.int64))
        return self.replace(size=size, strength=self.strength * (self.reference_size / n))

    def replace(self, **changes: Any) -> Self:
        """A model with some parameters changed; of `probability`, `in_degree` and `synapses` one ends the others."""
        relations.require_one([name for name in CONNECTIONS if changes.get(name) is not None])
        return super().replace(**changes)

    def _with(self, fields: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
        if field in CONNECTIONS and value is not None:
            fields = fields | {name: None for name in CONNECTIONS}
        return fields | {field: value}

    # What an engine needs to know --------------------------------------------------------------------------------

    @property
    def extensions(self) -> tuple[str, ...]:
        """Fields in use that Chang et al. do not have, in order; `names` alone changes no numbers."""
        return relations.extensions(self)

    @property
    def is_basic(self) -> bool:
        """Whether this is a network of Chang et al., to which none of the further fields applies."""
        return not self.extensions

    def require_basic(self, engine: str) -> None:
        """Refuse a model with a field that an engine does not have; `engine` is such as "The JAX engine"."""
        relations.refuse(self, self.extensions, engine)

    def require_moderate(self) -> None:
        """Refuse potentials and drives so large that single precision (network) and squares (reduction) lose them."""
        relations.require_moderate(self)

    # Relations between fields -------------------------------------------------------------------------------------

    def _relative_bounds(self) -> Mapping[str, dict[str, float]]:
        reset = self.reset
        if not isinstance(reset, np.ndarray) or not reset.size:
            return {}
        bounds = {"threshold": {"above": float(np.min(reset))}}
        if self.inhibition == "conductance":
            bounds["reversal"] = {"high": float(np.max(reset))}
        return bounds

    def _check_quantities(self, said: Mapping[str, Mapping[str, set[str]]]) -> None:
        check_units(self, said)
