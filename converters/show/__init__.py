"""Tables, reports, messages."""
