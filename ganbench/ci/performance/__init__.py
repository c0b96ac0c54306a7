"""The gate of speed and size: two versions on one machine, by turns, in fresh processes of one harness.

A stored baseline of another machine says nothing about code. What is compared here ran minutes apart, and
every process of either side is new. On a GPU all of it is unmeasured: none has run it yet.
"""
