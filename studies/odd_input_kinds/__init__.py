"""Kinds of odd inputs. `INPUTS` of each module has the functions that write them."""
