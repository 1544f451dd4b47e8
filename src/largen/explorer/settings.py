"""How the explorer begins with each system, and what a session may ask for."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from largen.checks import InputError, integer, real

MOST_REALISATIONS = 64


class Setting(NamedTuple):
    """How the explorer begins with a system.

    Attributes:
        stop: Last time.
        step: Step between times.
        longest: Largest last time.
        n: Neurons.
        most: Largest number of neurons.
        options: Options of the limit.
        network_options: Options of the network.
        record: What the first realisation of a network records.
        limit_record: What the limit records.
        branches: Parameter that is followed first, and where to; None for a system without branches.
    """

    stop: float
    step: float
    longest: float
    n: int
    most: int
    options: Mapping[str, Any] = {}
    network_options: Mapping[str, Any] = {}
    record: tuple[str, ...] = ()
    limit_record: tuple[str, ...] = ()
    branches: tuple[str, float] | None = None

    @property
    def limit_options(self) -> dict[str, Any]:
        """Options of the limit with what it records."""
        return {**self.options, **({"record": self.limit_record} if self.limit_record else {})}


SETTINGS = {
    "spiking": Setting(
        500.0, 0.1, 5000.0, 400, 100_000, {"bin_width": 10.0}, {}, ("spikes", "voltage_density"), ("voltage_density",),
        ("probability[e,i]", 1.0),
    ),
    "balanced": Setting(10.0, 0.05, 200.0, 1000, 100_000, branches=("drive[e]", 1.1)),
    "rate": Setting(20.0, 1.0, 100.0, 1000, 20_000, {"lags": 5}, {"lags": 5}),
}  # fmt: skip


class Run(NamedTuple):
    """What a session asks for beside the model.

    Attributes:
        duration: Last time.
        n: Neurons.
        networks: Realisations.
        seed: Seed.
    """

    duration: float
    n: int
    networks: int
    seed: int


def check_run(setting: Setting, unit: str, duration: Any, n: Any, networks: Any, seed: Any) -> Run:
    """Check what a session asks for against what this system allows it.

    Raises:
        InputError: Too long, too large or too many; the message says how much is allowed and what to use instead.
    """
    duration = real("duration", duration, above=0.0)
    shortest = 10 * setting.step
    allowed = (
        ("duration", duration, shortest, setting.longest, f" {unit}".rstrip()),
        ("n", integer("n", n), 4, setting.most, " neurons"),
        ("networks", integer("networks", networks), 1, MOST_REALISATIONS, ""),
    )
    for name, value, low, high, noun in allowed:
        if not low <= value <= high:
            raise InputError(
                f"Argument `{name}` must be from {low:g} to {high:g}{noun} in the explorer, but is {value:g}. "
                "For more use `largen run`."
            )
    return Run(duration, int(n), int(networks), integer("seed", seed, low=0))
