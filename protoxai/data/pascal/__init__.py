"""Pascal VOC, its additional annotations and parts."""
