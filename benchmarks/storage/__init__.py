"""Sets behind a web server, and how they come to a host."""
