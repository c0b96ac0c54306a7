"""Contracts that every part of a kind keeps, also those of local files and packages."""
