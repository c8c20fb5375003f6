"""Base classes of the metrics, intervals and the registry of a comparison's metrics."""
