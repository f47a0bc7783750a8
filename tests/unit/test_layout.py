"""How the code is laid out, beside what `make lint` holds (pyproject.toml, tool.importlinter)."""

from graphlib import TopologicalSorter

import grimp


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = grimp.build_graph("gateway", "adapters", "flags", cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    # A CycleError names the modules of a circle.
    TopologicalSorter(imported).prepare()

    assert "flags.errors" in imported["flags.store.revisions"]
