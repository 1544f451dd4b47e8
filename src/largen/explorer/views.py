"""What the explorer draws: the views of every system, by tab."""

from collections.abc import Callable

import xarray as xr

from largen.explorer import views_balanced, views_rate, views_spiking
from largen.explorer.view import View

VIEWS: dict[str, Callable[[xr.Dataset], dict[str, Callable[[], list[View]]]]] = {
    "spiking": views_spiking.views,
    "balanced": views_balanced.views,
    "rate": views_rate.views,
}
