"""Data for all tests. `NASCENT_BIN` names the program that is tested; the package is that of this folder."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nascent_velocity as nv  # noqa: E402

#: Arguments under which a fit takes a second.
QUICK = {"quiet": True, "threads": 1, "preprocess__min_shared_counts": 5}


@pytest.fixture(scope="session")
def simulated():
    return nv.simulate(cells=150, genes=30, seed=1)


@pytest.fixture
def counts(simulated):
    return simulated.copy()


@pytest.fixture(scope="session")
def fitted(simulated):
    return nv.graph(nv.train(simulated.copy(), "steady_state", **QUICK), quiet=True)
