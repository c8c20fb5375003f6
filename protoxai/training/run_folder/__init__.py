"""The run folder: records and sample pictures of a run."""
