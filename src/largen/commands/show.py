"""`largen show`: a model and its parameter table."""

from typing import TYPE_CHECKING, Any

from largen.commands.options import AsJson, JobOptions, takes_job
from largen.commands.output import Output

if TYPE_CHECKING:
    from largen.system import AbstractSystem


@takes_job("changes")
def show(asked: JobOptions, as_json: AsJson = False) -> None:
    """Show a model: every parameter with its value, unit, bounds and meaning."""
    from largen.commands.job import read_job
    from largen.commands.tables import show_parameters

    model = read_job(asked).model
    Output(as_json).result(parameter_table(model), lambda: show_parameters(model))


def parameter_table(model: "AbstractSystem") -> list[dict[str, Any]]:
    """The parameter table of a model with its values, as plain values."""
    from largen.parameters import parameters
    from largen.parameters.plain import json_safe, to_plain

    plain = to_plain(model, strict=False)
    return [
        {
            "name": info.name,
            "value": json_safe(plain.get(info.name, info.default)),
            "unit": info.unit,
            "symbol": info.symbol,
            "dims": list(info.dims),
            "low": info.low if info.low is not None else info.above,
            "high": info.high,
            "strict": info.above is not None,
            "doc": info.doc,
        }
        for info in parameters(model).values()
    ]
