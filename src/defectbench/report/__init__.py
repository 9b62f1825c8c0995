"""Reports: records of cells become tables and figures, topic by topic, and files in any format."""
