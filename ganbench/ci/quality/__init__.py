"""The quality gate: tests trainings against a baseline, and checks the measuring itself."""
