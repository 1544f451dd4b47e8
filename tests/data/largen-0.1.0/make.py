"""Write one result and one model file of each kind; run once, with largen 0.1.0."""

import pathlib

import numpy as np

import largen as ln

out = pathlib.Path("largen-0.1.0")
out.mkdir(exist_ok=True)
A = ln.analysis
sp = ln.SpikingNetwork()
t = np.arange(0, 100.5, 0.5)
net = ln.simulate(sp, t, realisations=2, seed=1, record="spikes")
lim = ln.solve_limit(sp, t)
ln.save(net, out / "spiking-network.nc")
ln.save(lim, out / "spiking-limit.nc")
ln.save(ln.compare(net, lim), out / "spiking-report.nc")
ln.save(net, out / "spiking-network.zarr")
ln.save(A.summary(net, start=20.0), out / "spiking-summary.nc")
ln.write_model(sp, out / "spiking-model.yaml")
ba = ln.BalancedNetwork()
tb = np.linspace(0, 2, 11)
nb = ln.simulate(ba, tb, n=200, realisations=4, seed=1)
lb = ln.solve_limit(ba, tb)
fb = ln.solve_limit(ba, tb, n=200)
ln.save(nb, out / "balanced-network.nc")
ln.save(lb, out / "balanced-limit.nc")
ln.save(fb, out / "balanced-finite.nc")
ln.save(ln.compare(nb, lb, finite=fb), out / "balanced-report.nc")
ln.save(ln.convergence(ba, tb, n=[100, 200, 400], realisations=4, seed=1), out / "balanced-convergence.nc")
ln.save(A.follow(ba, "drive[e]", to=1.0, n=1000), out / "balanced-diagram.nc")
ln.write_model(ba, out / "balanced-model.yaml")
ra = ln.RateNetwork()
tr = np.arange(6.0)
nr = ln.simulate(ra, tr, n=101, realisations=3, seed=1)
lr = ln.solve_limit(ra, tr)
ln.save(nr, out / "rate-network.nc")
ln.save(lr, out / "rate-limit.nc")
ln.save(ln.compare(nr, lr), out / "rate-report.nc")
ln.write_model(ra, out / "rate-model.yaml")
ln.sweep(
    ba, ln.Grid({"drive[e]": np.linspace(0.5, 1.0, 3)}), run="limit", times=tb, store=str(out / "balanced-sweep.nc")
)
ln.sweep(
    ba, ln.Grid({"drive[e]": np.linspace(0.5, 1.0, 3)}), run="limit", times=tb, store=str(out / "balanced-sweep.zarr")
)
f = ln.fit(ba, nb, free=["drive[e]"], starts=2)
ln.save(f, out / "balanced-fit.nc")
