"""The run folder: records and pictures of a run."""
