"""The questions that the package answers, one call each."""
