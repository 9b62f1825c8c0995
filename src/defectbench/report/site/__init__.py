"""The report as a static site: pages composed of tables, figures, records and images of a study."""
