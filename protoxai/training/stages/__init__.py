"""The training of one stage, and the actions between stages."""
