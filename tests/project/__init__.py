"""Rules of the house, held as tests: imports, requirements, commands, documents, the wheel."""
