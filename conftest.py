"""What `pytest --nbval notebooks` leaves out of the comparison of stored and fresh outputs."""


def pytest_collectstart(collector):
    """Skip warnings on stderr, and SVG, whose text depends on fonts; PNG is skipped by nbval itself."""
    if collector.path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/svg+xml")
