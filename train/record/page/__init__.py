"""Makes a web page of a run that needs only a browser: collects its contents, renders it, and renews it."""
