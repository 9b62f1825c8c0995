"""Tables, figures and pages rendered from records."""
