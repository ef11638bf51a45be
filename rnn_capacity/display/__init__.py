"""What results look like: tables, plots for notebooks, charts for the report."""
