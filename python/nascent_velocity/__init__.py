"""RNA velocity in Python: a thin door to the program ``nascent``.

    import nascent_velocity as nv

    adata = nv.train(adata, "soft_grid")               # velocities, times, rates
    adata = nv.graph(adata, root="clusters=Ductal")    # arrows, root cells, pseudotime, scores
    nv.report(adata, "my_report")                      # my_report/report.html

All science is in the program: these functions give it an ``AnnData`` object and put into the object what the program adds.
"""

from . import settings
from ._door import compare, graph, inspect, report, simulate, train
from ._program import NascentError, program, run, version

__all__ = [
    "NascentError",
    "compare",
    "graph",
    "inspect",
    "program",
    "report",
    "run",
    "settings",
    "simulate",
    "train",
    "version",
]


def __getattr__(name):
    if name == "__version__":
        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
