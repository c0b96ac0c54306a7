"""Checks of methods: are the parts of a suite still what their papers define?"""
