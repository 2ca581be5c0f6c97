"""Scores and reports, honest by construction: what is measured is fixed here, before any run."""
