"""Report: tables, sentences and figures for people. No torch in here."""
