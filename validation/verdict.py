"""The labels of `compare`: how often they are false, what they see, and whether their plans come true.

What:     pools of networks are simulated once; comparisons of R of them, drawn anew, with theories placed at known
          differences (in tolerances) or as they are. Each part is one system.
Source:   largen's own; the rule and its sources are in `largen.comparison.decisions`.
Run time: about 40 CPU minutes.
Command:  python validation/verdict.py balanced|correlated|gamma|other_limits|one_realisation|wrong_theories
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from study import Results, main

import largen as ln
from largen.comparison.decisions import (
    Cause,
    Differences,
    Label,
    causes_of,
    detectable,
    headline_of,
    interval,
    labels_of,
    needed,
    p_beyond,
    p_within,
    welch,
)
from largen.comparison.report import after_layer, shared
from largen.comparison.rows import Rows, rows_of, yardsticks
from largen.comparison.samples import Sample, Side, features, time_mean
from largen.numerics.streams import stream

LEVEL = 0.05
COUNTS = (2, 3, 4, 8, 16, 32, 64)
BATCH = 64
"""Networks whose time series are kept at a time."""


class Pool(NamedTuple):
    """What a comparison needs of every run of a pool: shapes (run, row) and, for courses, (run, cell).

    Attributes:
        values: Of the rows that are no courses.
        cells: Deviations in every entry and stretch of the courses, one course after the other.
    """

    values: np.ndarray
    cells: np.ndarray


class Table(NamedTuple):
    """The rows of a comparison, as arrays for many draws at once.

    Attributes:
        rows: The rows.
        tolerance: Of the rows that are no courses, shape (row,).
        cell_tolerance: Of the cells of courses, shape (cell,).
        owner: The course of each cell, shape (cell,).
    """

    rows: Rows
    tolerance: np.ndarray
    cell_tolerance: np.ndarray
    owner: np.ndarray

    @property
    def plain(self) -> list[str]:
        """Names of the rows that are no courses."""
        return [name for name, course in zip(self.rows.names, self.rows.course, strict=True) if not course]


def sampled(model, times, limit, n, count, seed, **options):
    """Samples by quantity of many networks, or of many runs of a sampled theory where options are given."""
    batches = []
    for k in range(0, count, BATCH):
        some = min(BATCH, count - k)
        if options:
            part = ln.solve_limit(model, times, n=n, seed=seed + k, **(options | {"realisations": some}))
        else:
            part = ln.simulate(model, times, n=n, realisations=some, seed=seed + k)
        names = [name for name in limit.data_vars if name in part and "time" in part[name].dims]
        side = Side(part, after_layer(part, limit))
        batches.append({name: time_mean(side, name) for name in names} | features(side)[0])
    return {name: joined([batch[name] for batch in batches]) for name in batches[0]}


def joined(parts: list[Sample]) -> Sample:
    """One sample of the runs of several."""
    runs = np.concatenate([part.runs for part in parts])
    stretches = None
    if parts[0].stretches is not None:
        stretches = np.concatenate([part.stretches for part in parts])
    error = runs.std(0, ddof=1) / np.sqrt(len(runs))
    measured = Differences(runs.mean(0), error, np.full(runs.shape[1], len(runs) - 1.0))
    zero, same = (np.all([getattr(part, key) for part in parts], axis=0) for key in ("zero", "same"))
    return Sample(measured, runs, stretches, zero, same, parts[0].feature)


def table_of(network: xr.Dataset, limit: xr.Dataset, ours, theirs) -> Table:
    """The rows of the comparison of a pool with its limit."""
    counted = after_layer(network, limit)
    rows = rows_of(Side(network, counted), Side(limit, counted), ours, theirs, yardsticks(None, None))
    plain = ~rows.course
    tolerance = [
        share * rows.entry_scales[name][entry]
        for name, entry, share in zip(rows.quantities, rows.entries, rows.share, strict=True)
        if entry >= 0
    ]
    cell_tolerance, owner = [], []
    for k, name in enumerate(rows.quantities):
        if rows.course[k]:
            mine = kept(rows, name)
            stretches = ours[name].stretches.shape[-1]
            cell_tolerance += np.repeat(rows.share[k] * rows.entry_scales[name][mine], stretches).tolist()
            owner += [k - int(plain.sum())] * (len(mine) * stretches)
    return Table(rows, np.array(tolerance), np.array(cell_tolerance), np.array(owner, dtype=int))


def kept(rows: Rows, name: str) -> list[int]:
    """Entries of a quantity that have a row."""
    both = zip(rows.quantities, rows.entries.tolist(), strict=True)
    return [entry for other, entry in both if other == name and entry >= 0]


def pool_of(table: Table, samples) -> Pool:
    """The runs as arrays in the order of the rows."""
    rows = table.rows
    plain = [(name, entry) for name, entry in zip(rows.quantities, rows.entries, strict=True) if entry >= 0]
    values = np.stack([samples[name].runs[:, entry] for name, entry in plain], axis=1)
    courses = [name for name, course in zip(rows.quantities, rows.course, strict=True) if course]
    cells = [samples[name].stretches[:, kept(rows, name)].reshape(len(values), -1) for name in courses]
    return Pool(values, np.concatenate(cells, axis=1))


def measured(x: np.ndarray) -> Differences:
    """Means of draws of shape (draw, run, row) with their errors, shape (draw, row)."""
    count = x.shape[1]
    if count == 1:  # a deterministic theory
        return Differences(x[:, 0], np.zeros(x[:, 0].shape), np.full(x[:, 0].shape, np.inf))
    error = x.std(1, ddof=1) / np.sqrt(count)
    error = np.where(error > 0, error, np.nan)  # the same run drawn again and again: as two equal values in `compare`
    return Differences(x.mean(1), error, np.full(error.shape, count - 1.0))


def p_values(table: Table, ours: Pool, theirs: Pool):
    """Differences (draw, row) of the plain rows, and both p-values (draw, row) of all rows, for draws of each side."""
    plain = welch(measured(ours.values), measured(theirs.values))
    cells = welch(measured(ours.cells), measured(theirs.cells))
    within, beyond = [p(plain, table.tolerance) for p in (p_within, p_beyond)]
    of_cells = [p(cells, table.cell_tolerance) for p in (p_within, p_beyond)]
    for course in range(table.owner.max(initial=-1) + 1):
        mine = table.owner == course
        within = np.column_stack([within, of_cells[0][:, mine].max(1)])
        beyond = np.column_stack([beyond, np.minimum(1.0, mine.sum() * of_cells[1][:, mine].min(1))])
    return plain, within, beyond


def draws(pool: Pool, rng, runs: int, count: int) -> Pool:
    """Independent draws of runs from a pool: shapes (draw, run, ...)."""
    index = rng.integers(len(pool.values), size=(runs, count))
    return Pool(pool.values[index], pool.cells[index])


def placed(table: Table, pool: Pool, at: np.ndarray | float, course: float = 0.0) -> Pool:
    """A deterministic theory whose differences from the pool's means are `at` tolerances; one draw of one run.

    Of each course the first cell is placed at `course` tolerances.
    """
    values = pool.values.mean(0) + at * table.tolerance
    cells = pool.cells.mean(0)
    first = np.array([np.flatnonzero(table.owner == k)[0] for k in range(table.owner.max(initial=-1) + 1)], dtype=int)
    cells[first] += course * table.cell_tolerance[first]
    return Pool(values[None, None], cells[None, None])


def labelled(within, beyond):
    """Labels of every draw."""
    return [labels_of(w, b, LEVEL) for w, b in zip(within, beyond, strict=True)]


def share(labels, label) -> float:
    """Share of draws in which a label stands somewhere."""
    return float(np.mean([label in row for row in labels]))


def table_named(results, name, *columns):
    """A table of a part, the same for all systems of the part."""
    return results[name] if name in results else results.table(name, *columns)


def operate(results: Results, small: bool, name: str, table: Table, pool: Pool, theory: Pool, at_size: Pool | None):
    """Fill all tables of one system.

    Args:
        results: Where the tables go.
        small: Whether only to see that it runs.
        name: The system.
        table: The rows.
        pool: The networks.
        theory: The limit, one run.
        at_size: The theory at the network's size: one run, or a pool of its own.
    """
    runs = 20 if small else 1000
    counts = [r for r in COUNTS if r <= len(pool.values)]
    false_labels(results, name, table, pool, counts, runs)
    coverage(results, name, table, pool, counts, runs)
    power(results, name, table, pool, counts, runs)
    headlines(results, name, table, pool, theory, at_size, counts, runs)
    false_causes(results, name, table, pool, counts, runs)
    plans(results, name, table, pool, counts, runs)


def false_labels(results, name, table, pool, counts, runs):
    """Every row exactly at its tolerance, and each sampled side with its own runs."""
    found = table_named(
        results, "false labels", "system", "theory", "networks", ("within", ".3f"), ("beyond", ".3f"), ("either", ".3f")
    )
    kinds = {"deterministic": 0, "as many samples": 1, "four times as many samples": 4}
    for kind, times in kinds.items():
        for count in counts:
            rng = stream(1, name, kind, count)
            ours = draws(pool, rng, runs, count)
            theirs = placed(table, pool, 1.0, 1.0)
            if times:  # another draw of the same pool, moved to the tolerance
                theirs = draws(pool, rng, runs, times * count)
                shift = placed(table, pool, 1.0, 1.0)
                theirs = Pool(
                    theirs.values + shift.values - pool.values.mean(0), theirs.cells + shift.cells - pool.cells.mean(0)
                )
            _, within, beyond = p_values(table, ours, theirs)
            labels = labelled(within, beyond)
            either = float(np.mean([any(one is not Label.UNDECIDED for one in row) for row in labels]))
            found.add(name, kind, count, share(labels, Label.WITHIN), share(labels, Label.BEYOND), either)


def coverage(results, name, table, pool, counts, runs):
    """95 % intervals of the plain rows against the pool's means."""
    found = table_named(
        results,
        "coverage",
        "system",
        "networks",
        ("mean over rows", ".3f"),
        ("lowest", ".3f"),
        "row",
        ("its skewness", ".1f"),
    )
    for count in counts:
        ours = draws(pool, stream(2, name, count), runs, count)
        plain, *_ = p_values(table, ours, placed(table, pool, 0.0))
        low, high = interval(plain)
        inside = ((low <= 0) & (high >= 0)).mean(0)
        worst = int(np.argmin(inside))
        centred = pool.values[:, worst] - pool.values[:, worst].mean()
        skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
        found.add(name, count, inside.mean(), inside[worst], table.plain[worst], skewness)


def power(results, name, table, pool, counts, runs):
    """One row off by a known number of tolerances and the others true; means over the rows, courses apart."""
    heads = [(f"{label} at {at:g}", ".2f") for at in (0, 0.5, 1, 1.5, 2) for label in ("within", "beyond")]
    found = table_named(results, "power", "system", "rows", "networks", *heads, ("all within, theory true", ".2f"))
    m = len(table.tolerance)
    courses = table.owner.max(initial=-1) + 1
    for count in counts:
        rng = stream(3, name, count)
        ours = draws(pool, rng, max(runs // 4, 10), count)
        within, beyond, course_within, course_beyond = ([] for _ in range(4))
        for at in (0.0, 0.5, 1.0, 1.5, 2.0):
            rows = []
            for k in range(m):
                _, w, b = p_values(table, ours, placed(table, pool, at * (np.arange(m) == k)))
                rows.append([[one[k] is label for one in labelled(w, b)] for label in (Label.WITHIN, Label.BEYOND)])
            within.append(np.mean([row[0] for row in rows]))
            beyond.append(np.mean([row[1] for row in rows]))
            _, w, b = p_values(table, ours, placed(table, pool, 0.0, at))
            labels = labelled(w, b)
            course_within.append(np.mean([[one is Label.WITHIN for one in row[m:]] for row in labels]))
            course_beyond.append(np.mean([[one is Label.BEYOND for one in row[m:]] for row in labels]))
        _, w, b = p_values(table, ours, placed(table, pool, 0.0))
        everything = np.mean([all(one is Label.WITHIN for one in row) for row in labelled(w, b)])
        pairs = [value for pair in zip(within, beyond, strict=True) for value in pair]
        found.add(name, "values", count, *map(float, pairs), float(everything))
        if courses:
            pairs = [value for pair in zip(course_within, course_beyond, strict=True) for value in pair]
            found.add(name, "courses", count, *map(float, pairs), float(everything))


def verdicts(table, ours, theory, at_size, complete=True):
    """Verdict of every draw against a limit and the theory at the network's size."""
    plain, within, beyond = p_values(table, ours, theory)
    labels = labelled(within, beyond)
    if at_size is None:
        causes = [[Cause.NOT_SEPARATED if one is Label.BEYOND else Cause.NONE for one in row] for row in labels]
    else:
        from_size, near, far = p_values(table, ours, at_size)
        with np.errstate(divide="ignore", invalid="ignore"):  # (F - T)/(X - T)
            explained = (plain.value - from_size.value) / plain.value
        padded = np.full(within.shape, np.nan)
        padded[:, : explained.shape[1]] = explained
        causes = [causes_of(row, near[k], far[k], padded[k], LEVEL) for k, row in enumerate(labels)]
    return [headline_of(a, b, complete=complete) for a, b in zip(labels, causes, strict=True)], causes


def headlines(results, name, table, pool, theory, at_size, counts, runs):
    """The verdicts with the system's own theories."""
    kinds = (
        "within tolerance",
        "finite-size effect",
        "undecided",
        "beyond tolerance, cause undecided",
        "theory differs",
    )
    found = table_named(results, "headlines", "system", "networks", *[(kind, ".2f") for kind in kinds])
    complete = not table.rows.clause
    for count in counts:
        rng = stream(4, name, count)
        ours = draws(pool, rng, runs, count)
        size = at_size if at_size is None or len(at_size.values.shape) > 2 else draws(at_size, rng, runs, count)
        said, _ = verdicts(table, ours, theory, size, complete)
        found.add(name, count, *[said.count(kind) / len(said) for kind in kinds])


def false_causes(results, name, table, pool, counts, runs):
    """The limit off by two tolerances and the theory at the network's size by exactly one, and by none."""
    heads = ("system", "theory at n off by", "networks", ("finite-size effect", ".3f"), ("theory differs", ".3f"))
    found = table_named(results, "causes", *heads)
    for off in (0.0, 0.5, 1.0, 1.5):
        for count in counts:
            ours = draws(pool, stream(5, name, count), runs, count)
            limit, at_size = placed(table, pool, 2.0, 2.0), placed(table, pool, off, off)
            _, causes = verdicts(table, ours, limit, at_size)
            found.add(name, off, count, share(causes, Cause.FINITE_SIZE), share(causes, Cause.THEORY))


def plans(results, name, table, pool, counts, runs):
    """`detectable` differences, and decisions after as many fresh networks as were `needed`, at half a tolerance."""
    found = table_named(
        results,
        "plans",
        "system",
        "networks",
        ("detectable seen", ".2f"),
        ("decided after needed", ".2f"),
        ("median needed", ".0f"),
    )
    m = len(table.rows.names)
    sd = pool.values.std(0, ddof=1)
    for count in [r for r in counts if r <= 16]:
        rng = stream(6, name, count)
        ours = draws(pool, rng, runs, count)
        dof = np.full(len(sd), count - 1.0)
        size = detectable(sd / np.sqrt(count), dof, table.tolerance, LEVEL, m)
        _, _, beyond = p_values(table, ours, placed(table, pool, size / table.tolerance))
        seen = (beyond[:, : len(sd)] <= LEVEL / 2 / m).mean()  # Holm's first step
        decided, wanted = [], []
        half = placed(table, pool, 0.5)
        plain, within, beyond = p_values(table, ours, half)
        for k in range(min(runs, 100)):
            labels = labels_of(within[k], beyond[k], LEVEL)
            labels = [one for one, course in zip(labels, table.rows.course, strict=True) if not course]
            one = Differences(*(field[k] for field in plain))
            plan = needed(one, table.tolerance, labels, LEVEL, count)
            for row in np.flatnonzero(np.isfinite(plan.count)):
                wanted.append(plan.count[row])
                if plan.count[row] > 2000:
                    continue
                fresh = draws(pool, rng, 1, int(plan.count[row]))
                _, w, b = p_values(table, fresh, half)
                decided.append(labels_of(w[0], b[0], LEVEL)[row] is not Label.UNDECIDED)
        found.add(name, count, float(seen), float(np.mean(decided or [np.nan])), float(np.median(wanted or [np.nan])))


def checked(table, pool, network, limit, finite):
    """The arrays' p-values are those of `compare` on the same networks: the same to the last digits."""
    report = ln.compare(network, limit, finite=finite)
    count = network.sizes["realisation"]
    ours = Pool(pool.values[None, :count], pool.cells[None, :count])
    theory = pool_of(table, samples_of(limit, network, limit))
    _, within, beyond = p_values(table, ours, Pool(theory.values[None], theory.cells[None]))
    same = np.array([name != "gamma_frequency" for name in table.rows.names])  # pseudo-values of all, not of these
    for ours_p, name in ((within, "p_within"), (beyond, "p_beyond")):
        np.testing.assert_allclose(ours_p[0][same], report[name].values[same], rtol=1e-7, atol=1e-12)


def samples_of(theory, network, limit):
    """Samples of a theory."""
    side = Side(theory, after_layer(network, limit))
    return {name: time_mean(side, name) for name in shared(network, theory)} | features(side)[0]


def study(results, small, name, model, times, n, count, *, at_size=None, chain=None):
    """Simulate the pool of one system and fill its tables."""
    limit = ln.solve_limit(model, times)
    few = ln.simulate(model, times, n=n, realisations=2, seed=1)
    samples = sampled(model, times, limit, n, 16 if small else count, 1)
    theirs = samples_of(limit, few, limit)
    table = table_of(few, limit, samples, theirs)
    pool = pool_of(table, samples)
    single = pool_of(table, theirs)
    theory = Pool(single.values[None], single.cells[None])
    size = None
    if at_size is not None:
        one = pool_of(table, samples_of(at_size, few, limit))
        size = Pool(one.values[None], one.cells[None])
    elif chain is not None:
        found = sampled(model, times, limit, n, 16 if small else count, 100_003, **chain)
        size = pool_of(table, found)
    first = ln.simulate(model, times, n=n, realisations=min(BATCH, len(pool.values)), seed=1)
    checked(table, pool, first, limit, None)
    operate(results, small, name, table, pool, theory, size)


def balanced(results: Results, small: bool) -> None:
    """The balanced system, 800 networks of 1000 neurons, with its theory of 1000 neurons."""
    model, times = ln.BalancedNetwork(), np.arange(101) * 0.05
    finite = ln.solve_limit(model, times, n=1000)
    study(results, small, "balanced", model, times, 1000, 800, at_size=finite)


def correlated(results: Results, small: bool) -> None:
    """The rate system with correlated weights, 640 networks of 1000 neurons, with samples of its law at that size."""
    model, times = ln.RateNetwork(), np.arange(21.0)
    study(results, small, "correlated", model, times, 1000, 640, chain={"realisations": BATCH})


def gamma(results: Results, small: bool) -> None:
    """The spiking system's gamma oscillation, 400 networks and chains of 400 neurons, 1000 ms."""
    spiking(results, small, "gamma", ln.SpikingNetwork(), 400)


def spiking(results, small, name, model, count):
    """A spiking model with its finite-size chain."""
    times = np.arange(2001 if small else 10_001) * 0.1
    study(results, small, name, model, times, 400, count, chain={"finite_size": True})


def other_limits(results: Results, small: bool) -> None:
    """Spiking models whose limit is periodic or at rest, or whose graphs are quenched, 128 networks and chains each."""
    cases = {
        "p_ei = 0.7": {"probability[e,i]": 0.7},
        "p_ei = 0.9": {"probability[e,i]": 0.9},
        "s_ee = 0.8": {"strength[e,e]": 0.8},
        "external rate 5": {"external_rate": (5.0, 5.0)},
        "quenched graphs": {"connectivity": "quenched"},
    }
    for name, changes in list(cases.items())[: 1 if small else 5]:
        spiking(results, small, name, ln.SpikingNetwork().replace(**changes), 128)


def wrong_theories(results: Results, small: bool) -> None:
    """Networks of the gamma oscillation against limits and chains of another closure and of a stronger synapse."""
    count = 16 if small else 256
    model, times = ln.SpikingNetwork(), np.arange(2001 if small else 10_001) * 0.1
    stronger = model.replace(**{"strength[e,e]": 1.05 * float(model.strength[0][0])})
    cases = {"closure white": (model, {"closure": "white"}), "strength[e,e] +5 %": (stronger, {})}
    for name, (theory, options) in cases.items():
        limit = ln.solve_limit(theory, times, **options)
        few = ln.simulate(model, times, n=400, realisations=2, seed=1)
        samples, single = sampled(model, times, limit, 400, count, 1), samples_of(limit, few, limit)
        table = table_of(few, limit, samples, single)
        chain = sampled(theory, times, limit, 400, count, 100_003, finite_size=True, **options)
        pool, one, at_size = (pool_of(table, found) for found in (samples, single, chain))
        alone = Pool(one.values[None], one.cells[None])
        counts = [r for r in COUNTS if r <= count]
        headlines(results, name, table, pool, alone, at_size, counts, 20 if small else 1000)


def one_realisation(results: Results, small: bool) -> None:
    """Single networks of the gamma oscillation against the mean of a pool: coverage of the intervals, labels."""
    count = 12 if small else 200
    model, times = ln.SpikingNetwork(), np.arange(10_001) * 0.1
    limit = ln.solve_limit(model, times)
    network = ln.simulate(model, times, realisations=count, seed=11)
    reports = [ln.compare(network.isel(realisation=[k]), limit) for k in range(count)]
    truth = ln.compare(network, limit)
    found = results.table(
        "one realisation",
        "row",
        ("networks", "d"),
        ("covered", ".3f"),
        ("half-width, tolerances", ".1f"),
        ("beyond", ".3f"),
        ("within", ".3f"),
    )
    for name in truth["component"].values.tolist():  # a single network of 1 s may show no rhythm to compare
        rows = [report.sel(component=name) for report in reports if name in report["component"]]
        if not rows:
            continue
        centre = float(truth["difference"].sel(component=name))
        inside = np.mean([float(row["ci_low"]) <= centre <= float(row["ci_high"]) for row in rows])
        half = np.median(
            [float((row["ci_high"] - row["ci_low"]) / 2 / (row["scale"] * row["tolerance"])) for row in rows]
        )
        labels = [str(row["label"].item()) for row in rows]
        beyond, within = (labels.count(label) / len(rows) for label in (Label.BEYOND, Label.WITHIN))
        found.add(name, len(rows), float(inside), float(half), beyond, within)


PARTS = (balanced, correlated, gamma, other_limits, one_realisation, wrong_theories)

if __name__ == "__main__":
    main(PARTS, __doc__)
