"""A run as a page that needs nothing but a browser: what it shows, how it is drawn, and when it is renewed."""
