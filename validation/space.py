"""Rings and sheets of spiking and balanced neurons: networks, limits and dispersion relations against each other.

What:     the sheet of Chang et al. (40 000 neurons, 11 x 11 patches, two readings of its kernels): rates of annealed,
          quenched and positioned networks; graphs by patches of several sizes against graphs by position; dispersion
          relations of the reduction (closure "joint", w = 4); growth rates of seeded modes in the reduction, on a ring
          with a Turing instability; that pattern in network and reduction.
          Balanced rings: where they lose balance in one mode, by n; networks on both sides of that onset against the
          equations of their n; networks under an uneven input against the limit.
Run time: `networks` about 3 CPU minutes, `patches` 14, `dispersion` 1, `growth` 6, `pattern` 8, `modes` 12,
          `balanced_onset` 1, `balanced_networks` 5, `balanced_limit` 4, on one core.
Command:  python validation/space.py networks patches dispersion growth pattern modes balanced_onset balanced_networks
          balanced_limit
"""

import numpy as np
from study import Results, estimate, main

import largen as ln

STRENGTH = "strength[e,e]"


def sheet(reading: str, small: bool, **changes: object) -> ln.SpikingNetwork:
    """The sheet, or with `small` one of 1600 neurons in 3 x 3 patches with the same in-degrees."""
    model = ln.SpikingNetwork.sheet(reading)
    if small:
        few = ln.Torus(3, length=10.0**0.5)
        wide = ln.GaussianKernel(1.0)
        model = model.replace(size=(1200, 400), probability=np.full((2, 2), 0.05), space=few, kernel=wide)
    return model.replace(**changes)


def ring(strength: float, small: bool) -> ln.SpikingNetwork:
    """The ring, or with `small` one of 6 patches with wider kernels."""
    if not small:
        return ln.SpikingNetwork.ring(strength)
    narrow, wide = ln.GaussianKernel(0.15), ln.GaussianKernel(0.2)
    model = ln.SpikingNetwork.ring(strength, 6)
    return model.replace(kernel=((narrow, wide), (narrow, wide)))


def networks(results: Results, small: bool) -> None:
    """Rates of the sheet's networks: annealed patches, one graph by patches, one by positions."""
    table = results.table(
        "rates", "kernels by", "connectivity", "runs", ("e, Hz", ".3f", ".3f"), ("i, Hz", ".3f", ".3f"),
        ("s.d. in time of e", ".2f"), ("of i", ".2f"), ("s.d. over patches of e", ".2f"),
    )  # fmt: skip
    runs, stop = (2, 60.0) if small else (4, 700.0)
    cases = [("source", "annealed"), ("source", "quenched"), ("source", "neurons"), ("target", "neurons")]
    for reading, connectivity in cases:
        model = sheet(reading, small, connectivity=connectivity)
        run = ln.simulate(model, np.arange(0.0, stop + 0.5, 1.0), realisations=runs, seed=1)
        late = run.sel(time=slice(200.0 if not small else 20.0, None)).isel(time=slice(1, None))
        means = late.rate.mean("time")
        rate, error = means.mean("realisation"), means.std("realisation", ddof=1) / runs**0.5
        spread = late.rate.std("time").mean("realisation")
        patches = late.patch_rate.mean("time")
        counting = (patches / (late.patch_size * 1e-3 * late.sizes["time"])).mean("patch")
        over = np.sqrt(np.maximum(patches.var("patch") - counting, 0.0)).mean("realisation")
        table.add(
            reading, connectivity, runs, *[estimate(rate[a], error[a]) for a in (0, 1)],
            float(spread[0]), float(spread[1]), float(over[0]),
        )  # fmt: skip


def patches(results: Results, small: bool) -> None:
    """Rates of many fixed graphs: by patches of several sizes against graphs by the positions of neurons."""
    table = results.table(
        "rates", "graph", "graphs", ("e, Hz", ".3f", ".3f"), ("i, Hz", ".3f", ".3f"),
        ("e against neurons, %", "+.2f", ".2f"), ("i against neurons, %", "+.2f", ".2f"),
    )  # fmt: skip
    graphs, stop = (2, 40.0) if small else (24, 700.0)
    whole = sheet("source", small, connectivity="neurons")
    cases = {"by position": whole}
    for side in (2,) if small else (5, 7, 11, 20):
        space = ln.Torus(side, length=10.0**0.5, images="sum" if small else "nearest")
        cases[f"by {side} x {side} patches"] = whole.replace(connectivity="quenched", space=space)
    known: tuple[np.ndarray, np.ndarray] | None = None
    for k, (name, model) in enumerate(cases.items()):
        run = ln.simulate(model, np.arange(0.0, stop + 0.5, 10.0), realisations=graphs, seed=100 + k)
        means = run.rate.sel(time=slice(20.0 if small else 200.0, None)).isel(time=slice(1, None)).mean("time").values
        rate, error = means.mean(0), means.std(0, ddof=1) / graphs**0.5
        known = known or (rate, error)
        share = 100.0 * (rate / known[0] - 1.0)
        spread = 100.0 * np.hypot(error / rate, known[1] / known[0])
        apart = [None, None] if k == 0 else [estimate(share[a], spread[a]) for a in (0, 1)]
        table.add(name, graphs, *[estimate(rate[a], error[a]) for a in (0, 1)], *apart)


def dispersion(results: Results, small: bool) -> None:
    """Leading modes of the sheet and of the ring: growth rates and frequencies (closure "joint", w = 4)."""
    table = results.table("modes", "model", "mode", ("growth, 1/s", ".3f"), ("frequency, Hz", ".2f"), ("e, Hz", ".4f"))
    models = {f"sheet by {reading}": sheet(reading, small) for reading in ("source", "target")}
    models |= {f"ring, s_ee = {value:g}": ring(value, small) for value in ((3.0,) if small else (2.6, 2.8, 3.0, 3.2))}
    for name, model in list(models.items())[: 1 if small else None]:
        found = ln.analysis.dispersion(model, bin_width=5.0 if small else 4.0, modes=3 if small else 12)
        for k, waves in enumerate(found.waves.values.tolist()):
            growth, frequency = float(found.growth[k, 0]), float(found.frequency[k, 0])
            table.add(name, str(tuple(waves)), growth, frequency, float(found.homogeneous_rate[0]))


def amplitude(run: object, mode: int) -> np.ndarray:
    """2 |FFT|/M of the rate of e in every output, shape (time,)."""
    rates = run.patch_rate.sel(population="e").values  # type: ignore[attr-defined]
    return 2.0 * np.abs(np.fft.fft(rates, axis=0)[mode]) / len(rates)


def growth(results: Results, small: bool) -> None:
    """Growth of a seeded mode of the ring in its reduction, against the dispersion relation."""
    table = results.table("rates", "s_ee", "mode", ("predicted, 1/s", ".3f"), ("in the reduction, 1/s", ".3f"))
    # Beyond the onset the uniform mode decays slowly, so that the rate of growth settles late.
    cases = ((3.2, 2, 1e-6, 80.0, 120.0),) if small else ((3.2, 2, 1e-12, 700.0, 950.0), (2.8, 2, 1e-6, 350.0, 500.0))
    for value, mode, push, first, stop in cases:
        model = ring(value, small).replace(refractory="exponential")
        width = 5.0 if small else 4.0
        found = ln.analysis.dispersion(model, bin_width=width, modes=mode + 1)
        times = np.arange(0.0, stop + 1.0, 1.0)
        run = ln.solve_limit(model, times, closure="joint", bin_width=width, perturbation=(push, mode))
        late = times > first
        slope = 1e3 * np.polyfit(times[late], np.log(amplitude(run, mode)[late]), 1)[0]
        table.add(value, mode, float(found.growth[mode, 0]), float(slope))


def pattern(results: Results, small: bool) -> None:
    """The ring beyond its instability: mean rates and modes of e in the network and in two closures."""
    table = results.table(
        "pattern", "what", ("e, Hz", ".2f"), ("i, Hz", ".2f"), ("mode 1", ".2f"), ("mode 2", ".2f"), ("mode 4", ".2f")
    )
    model = ring(3.2, small)
    times = np.arange(0.0, 101.0 if small else 1101.0, 1.0)
    late = slice(50.0 if small else 700.0, None)
    modes = (1, 2, 2) if small else (1, 2, 4)

    def row(what: str, run: object) -> None:
        cut = run.sel(time=late)  # type: ignore[attr-defined]
        found = [float(np.mean(amplitude(cut, mode))) for mode in modes]
        table.add(what, *[float(x) for x in cut.rate.mean("time")], *found)

    for connectivity in ("annealed", "neurons"):
        network = ln.simulate(model.replace(connectivity=connectivity), times, seed=1).isel(realisation=0)
        row(f"network, {connectivity}", network)
    for mode in (2,) if small else (1, 2):  # seeded in mode 2 it keeps its symmetry, without any odd mode
        seeded = {"perturbation": (1e-2, mode)}
        joint = ln.solve_limit(model, times, closure="joint", bin_width=5.0 if small else 4.0, **seeded)
        row(f"joint, seeded in mode {mode}", joint)
        if not small:
            row(f"quadrature, seeded in mode {mode}", ln.solve_limit(model, times, error=False, **seeded))


EXCITATION = "kernel[e,e].amplitude"


def balanced(amplitude: float, small: bool, **changes: object) -> ln.BalancedNetwork:
    """The balanced ring with another amplitude of the kernel from e to e, or with `small` one of 6 patches."""
    model = ln.BalancedNetwork.ring().replace(**{EXCITATION: amplitude})
    return model.replace(space=ln.Ring(6 if small else 16), **changes)


def size_of(run: object, mode: int) -> np.ndarray:
    """2 |FFT|/M of the mean of e, averaged over the times, of each realisation, shape (realisation,)."""
    means = run.patch_mean.sel(population="e").transpose(..., "patch", "time").values  # type: ignore[attr-defined]
    size = 2.0 * np.abs(np.fft.fft(means, axis=-2)[..., mode, :]) / means.shape[-2]
    return np.atleast_1d(size.mean(-1))


def balanced_onset(results: Results, small: bool) -> None:
    """Where a balanced ring loses balance in its mode of one wave, and its growth beyond, in time and by theory."""
    table = results.table(
        "onsets", "neurons a kind", ("onset in e_ee", ".6f"), ("(onset - 1/3) times the root", ".3f"),
        ("growth at 0.45", ".4f"), ("in the equations in time", ".4f"),
    )  # fmt: skip
    for kind in (400, None) if small else (400, 1600, 6400, 10**6, 10**8, None):
        n = None if kind is None else 2 * kind
        found = ln.analysis.onset(balanced(0.2, small), EXCITATION, between=(0.2, 0.49), n=n, modes=2)
        onset = float(found["onset"])
        if kind is None or kind > 10**6:
            table.add(
                "limit" if kind is None else kind, onset, (onset - 1 / 3) * kind**0.5 if kind else None, None, None
            )
            continue
        model = balanced(0.45, small)
        relation = ln.analysis.dispersion(model, n=n, modes=2)
        still = {"initial_mean": relation.homogeneous_mean.values, "initial_variance": relation.homogeneous_variance}
        span = 1.0 / float(relation.growth[1, 0])
        times = np.array([0.0, 3.0 * span, 4.0 * span])
        run = ln.solve_limit(model.replace(**still), times, n=n, perturbation=(1e-6, 1), rtol=1e-10, atol=1e-14)
        sizes = np.abs(np.fft.fft(run.patch_mean.values[0], axis=0)[1])
        grown = float(np.log(sizes[2] / sizes[1]) / span)
        table.add(kind, onset, (onset - 1 / 3) * kind**0.5, float(relation.growth[1, 0]), grown)


def balanced_networks(results: Results, small: bool) -> None:
    """Balanced rings before and beyond the loss of balance: networks against the equations of their n."""
    table = results.table(
        "patterns", "e_ee", "neurons a kind", "runs", ("mode 1, network", ".3f", ".3f"), ("equations", ".3f"),
        ("mode 2, network", ".3f", ".3f"), ("mean of e, network", ".3f", ".3f"), ("equations of the mean", ".3f"),
    )  # fmt: skip
    times = np.linspace(0.0, 3.0 if small else 12.0, 13 if small else 49)
    cases = ((0.45, 200, 2),) if small else ((0.25, 1600, 3), (0.45, 1600, 3), (0.45, 6400, 2))
    for amplitude_ee, kind, runs in cases:
        model = balanced(amplitude_ee, small)
        same = {"n": 2 * kind, "perturbation": (1e-3, 1)}
        late = slice(2.0 if small else 8.0, None)
        network = ln.simulate(model, times, method="tau_leap", seed=1, realisations=runs, **same)
        network, theory = network.sel(time=late), ln.solve_limit(model, times, **same).sel(time=late)
        means = network["mean"].sel(population="e").mean("time").values
        table.add(
            amplitude_ee, kind, runs, over_runs(size_of(network, 1)), float(size_of(theory, 1)[0]),
            over_runs(size_of(network, 2)), over_runs(means), float(theory["mean"].sel(population="e").mean()),
        )  # fmt: skip


def over_runs(values: np.ndarray) -> dict[str, float]:
    """The mean over realisations with its standard error."""
    return estimate(values.mean(), values.std(ddof=1) / len(values) ** 0.5)


def balanced_limit(results: Results, small: bool) -> None:
    """A stable balanced ring whose input has one wave: the limit erases that wave, networks do so as they grow."""
    table = results.table(
        "uneven_input", "neurons a kind", "runs", ("wave in e, network", ".4f", ".4f"), ("equations of its n", ".4f"),
        ("mean of e, network", ".4f", ".4f"), ("equations of the mean", ".4f"),
    )  # fmt: skip
    model = balanced(0.25, small)
    wave = np.cos(2.0 * np.pi * np.arange(model.space.count) / model.space.count)
    model = model.replace(input=lambda t: np.stack([0.3 * wave, 0.0 * wave]))
    times = np.linspace(0.0, 3.0 if small else 9.0, 13 if small else 37)

    def part_of(run: object) -> np.ndarray:
        """Share of the wave in e, with its sign, of each realisation."""
        late = run.patch_mean.sel(population="e", time=slice(times[len(times) // 3], None))  # type: ignore[attr-defined]
        return np.atleast_1d(2.0 * (late.mean("time").transpose(..., "patch").values @ wave) / len(wave))

    def mean_of(run: object) -> np.ndarray:
        late = run["mean"].sel(population="e", time=slice(times[len(times) // 3], None))  # type: ignore[index]
        return np.atleast_1d(late.mean("time").values)

    for kind, runs in ((200, 2),) if small else ((400, 8), (1600, 4), (6400, 2)):
        network = ln.simulate(model, times, n=2 * kind, method="tau_leap", seed=1, realisations=runs)
        theory = ln.solve_limit(model, times, n=2 * kind)
        table.add(
            kind, runs, over_runs(part_of(network)), float(part_of(theory)[0]),
            over_runs(mean_of(network)), float(mean_of(theory)[0]),
        )  # fmt: skip
    limit = ln.solve_limit(model, times)
    table.add("limit", None, None, float(part_of(limit)[0]), None, float(mean_of(limit)[0]))


def modes(results: Results, small: bool) -> None:
    """Power of the sheet's rates by wave number: chains of both closures over the annealed network, at two sizes."""
    table = results.table(
        "modes", "neurons", "population", "of", *((f"waves {low} to {high}", ".3f", ".3f") for low, high in SHELLS),
    )  # fmt: skip
    stop = 60.0 if small else 1000.0
    times, late = np.arange(0.0, stop + 0.5), slice(20.0 if small else 200.0, None)
    runs = {1: 1 if small else 4, 16: 1}
    for times_as_many, count in runs.items():
        model = sheet("source", small)
        size, p = np.array(model.size), np.array(model.probability)
        if times_as_many > 1 and small:
            break
        model = model.replace(size=tuple((times_as_many * size).tolist()), probability=p / times_as_many)
        chains = {
            "joint, bins of 4": {"closure": "joint", "bin_width": 4.0},
            "joint, bins of 2": {"closure": "joint", "bin_width": 2.0},
            "quadrature": {"closure": "quadrature", "error": False},
        }
        shared = {"seed": 1, "realisations": count}
        truth = _power(ln.simulate(model, times, **shared), late)
        for name, options in chains.items():
            few = {"realisations": 1} if name == "quadrature" else {}  # it takes minutes
            power = _power(ln.solve_limit(model, times, finite_size=True, **(shared | few), **options), late)
            for a, population in enumerate(model.populations):
                ratio = power[0][a] / truth[0][a]
                error = ratio * np.hypot(power[1][a] / power[0][a], truth[1][a] / truth[0][a])
                cells = [estimate(*pair) for pair in zip(ratio, error, strict=True)]
                table.add(int(np.sum(model.size)), population, name, *cells)


SHELLS = ((0, 0), (1, 1), (2, 3), (4, 7))
"""Wave numbers (largest of the waves around the axes) that are put together."""


def _power(run, late):
    """Mean power of patch rates by shell, and its standard error from stretches of 100 ms, each (population, shell)."""
    rates = run.patch_rate.sel(time=late).transpose("realisation", "population", "time", "patch").values
    side = round(rates.shape[-1] ** 0.5)
    rates = rates - rates.mean(axis=2, keepdims=True)
    found = np.abs(np.fft.fft2(rates.reshape(*rates.shape[:-1], side, side))) ** 2
    waves = np.abs(np.fft.fftfreq(side, 1.0 / side))
    number = np.maximum(waves[:, None], waves)
    count = max(rates.shape[2] // 100, 2)
    means, errors = [], []
    for low, high in SHELLS:
        here = found[..., (number >= low) & (number <= high)]
        if here.shape[-1] == 0:
            here = np.full((*found.shape[:3], 1), np.nan)
        blocks = np.stack([block.mean(axis=(2, 3)) for block in np.array_split(here, count, axis=2)])
        blocks = np.moveaxis(blocks, 2, 0).reshape(rates.shape[1], -1)  # population, stretch
        means.append(blocks.mean(axis=1))
        errors.append(blocks.std(axis=1, ddof=1) / blocks.shape[1] ** 0.5)
    return np.array(means).T, np.array(errors).T


PARTS = (networks, patches, dispersion, growth, pattern, modes, balanced_onset, balanced_networks, balanced_limit)

if __name__ == "__main__":
    main(PARTS, __doc__)
