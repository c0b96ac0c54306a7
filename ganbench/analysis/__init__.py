"""Analysis of results: from a plan and a store to rows and tables. Imports no torch."""
