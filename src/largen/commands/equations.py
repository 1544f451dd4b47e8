"""`largen equations`: the limit's equations as LaTeX."""

from largen.commands.options import AsJson, JobOptions, takes_job
from largen.commands.output import Output


@takes_job("n", "changes")
def equations(asked: JobOptions, as_json: AsJson = False) -> None:
    """Write the limit's equations as LaTeX, with the model's own numbers."""
    from largen.commands.job import read_job
    from largen.io.latex import equations

    model = read_job(asked).model
    text = str(equations(model, n=asked.n))
    Output(as_json).result({"system": model.system, "latex": text}, lambda: print(text))
