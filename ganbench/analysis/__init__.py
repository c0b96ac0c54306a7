"""Analysis: from a plan and a store to tidy rows, and from rows to tables. No torch in here."""
