"""Results that can be compared, and measured again by anyone: frozen protocols, entries, their verification, a page."""
