"""Valid calls of all public functions and classes, and values that they have to refuse."""
