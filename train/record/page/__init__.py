"""Makes the web page of a run, which needs only a browser: collects its contents, renders it, and renews it."""
