"""Rings and sheets of spiking neurons: networks, reductions and dispersion relations against each other.

What:     the sheet of Chang et al. (40 000 neurons, 11 x 11 patches, two readings of its kernels): rates of annealed,
          quenched and positioned networks; dispersion relations of the reduction (closure "joint", w = 4); growth rates
          of seeded modes in the reduction, on a ring with a Turing instability; that pattern in network and reduction.
Run time: `networks` about 3 CPU minutes, `dispersion` 1, `growth` 6, `pattern` 8, on one core.
Command:  python validation/space.py networks dispersion growth pattern
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
    stop, first = (120.0, 80.0) if small else (500.0, 350.0)
    for value, mode in ((3.2, 2),) if small else ((3.2, 2), (2.8, 2)):
        model = ring(value, small).replace(refractory="exponential")
        width = 5.0 if small else 4.0
        found = ln.analysis.dispersion(model, bin_width=width, modes=mode + 1)
        times = np.arange(0.0, stop + 1.0, 1.0)
        run = ln.solve_limit(model, times, closure="joint", bin_width=width, perturbation=(1e-6, mode))
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
    row("joint", ln.solve_limit(model, times, closure="joint", bin_width=5.0 if small else 4.0, perturbation=(1e-2, 2)))
    if not small:
        row("quadrature", ln.solve_limit(model, times, error=False, perturbation=(1e-2, 2)))


PARTS = (networks, dispersion, growth, pattern)

if __name__ == "__main__":
    main(PARTS, __doc__)
