"""The kernels that run the pages: figures stand where they are made."""

c = get_config()  # noqa: F821
c.IPKernelApp.matplotlib = "inline"
c.InlineBackend.figure_formats = {"retina"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": None}
c.HistoryManager.enabled = False
c.InteractiveShellApp.extensions = ["shell"]  # docs/shell.py, which lies on the path
