"""Names that plans, tables and commands share: parts of an arm, and outcomes."""

ARM_FIELDS = ("data", "variant", "loss", "tricks", "plan")

LOST_OUTCOMES = ("diverged", "failed")
TRAINED_OUTCOMES = ("done", "diverged")  # of trials with a result
ENDED_OUTCOMES = ("done", *LOST_OUTCOMES)
FINISHED_OUTCOMES = (*TRAINED_OUTCOMES, "not_applicable")  # which another run keeps
