"""What results look like: tables, plots for print, charts for the page."""
