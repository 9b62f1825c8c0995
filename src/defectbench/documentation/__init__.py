"""Pages that are generated: settings from their models, commands from the command line, results from records."""
