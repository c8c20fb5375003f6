"""What a comparison says: sentences, tables and figures."""
