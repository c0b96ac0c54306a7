"""The quality gate: are trainings proven to be worse than a baseline's, or numbers to be measured otherwise?"""
