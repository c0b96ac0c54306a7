"""Reports: tables, sentences and figures. Imports no torch."""
