"""The balanced system's special cases, its largest network, and the speed of its limit.

What:     blow-up at a saddle, loss of stability in time, the folded oscillation, shared synapses, memory of tau-leaping
          at 10^6 and 10^7 neurons, CPU time of the limit alone and over 1000 parameter sets.
Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273); the cases are largen's own.
Run time: about 6 CPU minutes, of which `large` takes 3.
Command:  python benchmarks/balanced_cases.py [saddle unstable folded shared large speed]
"""

import resource
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import largen as ln
from largen.comparison.scaling import fit_exponent
from largen.systems.balanced import BalancedNetwork, limit_equations, manifold


def saddle():
    """The refusal of a saddle, and the network's means there against sqrt(n)."""
    model = BalancedNetwork.saddle()
    print("\n## Saddle: refused by the limit; the network's |mean[e]| at time 3 (mean of 3 realisations)\n")
    try:
        ln.solve_limit(model, [0.0, 3.0])
    except ln.LimitError as error:
        print(f"`{error}`\n")
    print("| n a population | abs mean[e] | divided by sqrt(n) |")
    print("|---|---|---|")
    for n in (200, 800, 3200):
        ends = np.abs(ln.simulate(model, [0.0, 3.0], n=2 * n, realisations=3, seed=1)["mean"].values[:, 0, -1])
        print(f"| {n} | {ends.mean():.2f} | {ends.mean() / n**0.5:.3f} |", flush=True)


def unstable():
    """The time at which balance loses its stability, by both routes."""
    print("\n## Loss of stability in time\n")
    for route in ("explicit", "reduced"):
        cut = ln.solve_limit(BalancedNetwork.unstable(), np.linspace(0, 2, 21), route=route, strict=False)
        print(f"- {route}: {cut.attrs['status']}; last time {cut.time.values[-1]:g}", flush=True)


def folded():
    """Period of the relaxation oscillation in the network and in the finite-size equations."""
    print("\n## Folded manifold, 1000 a population: first peak of the autocorrelation of mean[e] over times 15 to 60\n")
    model, times = BalancedNetwork.folded(), np.arange(0.0, 60.0, 0.01)
    theory = period(times, ln.solve_limit(model, times, n=2000)["mean"].values[0])
    network = ln.simulate(model, times, n=2000, realisations=3, seed=1, method="tau_leap")["mean"].values[:, 0]
    found = np.array([period(times, x) for x in network])
    each = ", ".join(f"{x:.2f}" for x in found)
    print(f"equations {theory:.2f}, network {each} ({found.mean() / theory - 1:+.1%})")
    cut = ln.solve_limit(model, np.linspace(0, 5, 21), strict=False)
    print(f"limit: {cut.attrs['status']}", flush=True)


def period(times, x):
    """Lag between 1.5 and 4 of the highest autocorrelation, after a quarter of the trace.

    A mean of intervals would not do: now and then the network misses a cycle.
    """
    step = times[1] - times[0]
    x = x[len(x) // 4 :] - x[len(x) // 4 :].mean()
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    correlation = np.fft.irfft(power)[: len(x)] / np.arange(len(x), 0, -1)
    lags = np.arange(int(1.5 / step), int(4.0 / step))
    return lags[np.argmax(correlation[lags])] * step


def shared():
    """Shared synapses: decay of the variance, and the scaling of the means' fluctuations."""
    print("\n## Shared synapses: decay of the variance, standard deviation of the means over time (8 realisations)\n")
    print("| n a population | largest relative error of K(0) exp(-2t), t <= 5 | std of mean[e] | std of mean[i] | +- |")
    print("|---|---|---|---|---|")
    model, times = BalancedNetwork.shared(), np.arange(0.0, 60.0, 0.1)
    sizes, spread, errors = np.array([200, 800, 3200, 12800]), [], []
    for n in sizes:
        network = ln.simulate(model, times, n=2 * int(n), realisations=8, seed=2)
        k = network["variance"].values[:, :, :51]
        decay = np.abs(k / (k[:, :, :1] * np.exp(-2 * times[:51])) - 1).max()
        std = network["mean"].values[:, :, 100:].std(axis=2)
        spread.append(std.mean())
        errors.append(std.mean(axis=1).std(ddof=1) / np.sqrt(8))
        print(f"| {n} | {decay:.1e} | {std[:, 0].mean():.4f} | {std[:, 1].mean():.4f} | {errors[-1]:.4f} |", flush=True)
    slope, error = fit_exponent(sizes.astype(float), np.array(spread), np.array(errors))
    low, high = slope - 1.96 * error, slope + 1.96 * error
    print(f"\nExponent {slope:.3f}, 95 % interval [{low:.3f}, {high:.3f}].", flush=True)


def large():
    """CPU time and memory of tau-leaping over a horizon of .01."""
    print("\n## Tau-leaping over a horizon of .01 (S3, projected start)\n")
    print("| N | step | CPU s | ns a neuron and step | peak RSS of the process, MB | of which before the run |")
    print("|---|---|---|---|---|---|")
    model, times = BalancedNetwork.balanced(), np.array([0.0, 0.01])
    ln.simulate(model, times, n=1000, method="tau_leap")
    for n, dt in ((1_000_000, None), (10_000_000, 1e-4)):
        before, start = peak(), time.process_time()
        network = ln.simulate(model, times, n=n, seed=1, method="tau_leap", **({} if dt is None else {"dt": dt}))
        seconds, step = time.process_time() - start, network.attrs["largest_step"]
        cost = 1e9 * seconds / (n * round(0.01 / step))
        print(f"| {n} | {step:.3g} | {seconds:.0f} | {cost:.0f} | {peak():.0f} | {before:.0f} |", flush=True)


def peak():
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speed():
    """CPU time of one limit on [0, 50], and of 1000 parameter sets in one vmap, after compilation."""
    print("\n## Speed of the limit (process CPU time after compilation, best of 5)\n")
    times = np.linspace(0.0, 50.0, 21)
    for name, model in (("S1", BalancedNetwork.rank_one()), ("S3", BalancedNetwork.off_manifold())):
        for route in ("reduced",) if name == "S1" else ("explicit", "reduced"):
            with jax.enable_x64(True):
                shape = manifold.structure(model)

                def one(value, model=model, shape=shape, route=route):
                    changed = model.replace(**{"gain[i].threshold": value})
                    return limit_equations.trajectory(changed, times, structure=shape, route=route).mean

                single, many = eqx.filter_jit(one), eqx.filter_jit(jax.vmap(one))
                value = jnp.asarray(model.gain[1].threshold)
                spread = value + jnp.linspace(-0.05, 0.05, 1000)
                print(f"- {name}, {route}: {1e3 * best(single, value):.2f} ms one limit, "
                      f"{best(many, spread):.3f} s 1000 parameter sets", flush=True)  # fmt: skip


def best(function, argument):
    """Smallest CPU time of five calls after the first."""
    spent = []
    for _ in range(6):
        start = time.process_time()
        jax.block_until_ready(function(argument))
        spent.append(time.process_time() - start)
    return min(spent[1:])


if __name__ == "__main__":
    for study in (saddle, unstable, folded, shared, large, speed):
        if len(sys.argv) == 1 or study.__name__ in sys.argv[1:]:
            study()
