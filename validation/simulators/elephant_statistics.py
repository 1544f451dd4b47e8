"""Statistics of spike trains by Elephant: CV, LvR, Fano factor, mean pairwise correlation; prints one JSON line.

Command:  PYTHON_WITH_ELEPHANT validation/simulators/elephant_statistics.py TRAINS.npz
          TRAINS.npz has neuron, time (ms after the start, sorted by neuron, then time), and the numbers size, duration,
          window, bin_width (ms), fewest intervals, refractoriness (ms).
"""

import json
import sys

import elephant
import neo
import numpy as np
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient
from elephant.statistics import cv, fanofactor, isi, lvr


def main(file):
    """Mean over neurons of each statistic, as `largen.analysis.spike_trains` takes it."""
    with np.load(file) as given:
        neuron, time = given["neuron"], given["time"]
        size, fewest = int(given["size"]), int(given["fewest"])
        duration, window, width, dead = (float(given[x]) for x in ("duration", "window", "bin_width", "refractoriness"))
    trains = [time[neuron == i] for i in range(size)]
    intervals = [isi(train) for train in trains if len(train) > fewest]
    whole = int(duration / window + 1e-9)
    factors = []
    for train in trains:
        place = np.ceil(train / window - 1e-9).astype(int) - 1
        cut = [train[place == k] * pq.ms for k in range(whole)]
        if any(len(part) for part in cut):
            pieces = [neo.SpikeTrain(part, t_start=0.0, t_stop=duration * pq.ms) for part in cut]
            factors.append(fanofactor(pieces) * whole / (whole - 1.0))  # its variance divides by the number of windows
    spiking = [neo.SpikeTrain(train * pq.ms - 1e-6 * pq.ms, t_stop=duration * pq.ms) for train in trains if len(train)]
    binned = BinnedSpikeTrain(spiking, bin_size=width * pq.ms, t_start=0.0 * pq.ms, t_stop=duration * pq.ms)
    pairs = correlation_coefficient(binned)
    found = {
        "simulator": f"Elephant {elephant.__version__}",
        "cv": float(np.mean([cv(one) for one in intervals])),
        "lvr": float(np.mean([lvr(one, R=dead * pq.ms) for one in intervals])),
        "fano_factor": float(np.mean(factors)),
        "correlation": float(np.mean(pairs[np.triu_indices(len(spiking), 1)])),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
