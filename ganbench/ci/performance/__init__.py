"""The performance gate: runs two versions alternately, in fresh processes of one harness.

A baseline from another machine would not allow conclusions about the code. The measurements that the
gate compares are minutes apart, and each is from a new process. The gate has not yet run on a GPU, so
its behaviour there is unmeasured.
"""
