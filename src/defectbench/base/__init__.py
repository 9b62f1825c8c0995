"""Ground that every layer stands on: errors, files, records, cards, methods, studies."""
