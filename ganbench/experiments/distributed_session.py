"""A training session of one trial in several processes, each with a slice of every batch.

This process leads: it decides, measures and writes, as for a trial of one process. The curve, the
checkpoints and the result are those of the first process, and all processes have equal weights.
"""

from .followers import Followers, make_slice_trainer
from .session import ShouldStop, TrainingRecord, TrainingSession


class DistributedSession(TrainingSession):
    """Trains a trial with its followers, which start and end within `run`.

    Weights are compared over the processes at the start, at each point of the learning curve and at
    each checkpoint. Raises RanksDiffer if they differ, and ProcessFailed if a follower fails.
    """

    def __init__(self, record: TrainingRecord):
        self.record, self.active = record, [record]

    def run(self, stop: ShouldStop) -> None:
        with Followers(self.record) as followers, followers.explaining_failures():
            self.prepare(followers)
            super().run(stop)

    def prepare(self, followers: Followers) -> None:
        """Builds the trainer while the followers build theirs, and connects all of them."""
        self.trainer = self.record.training = make_slice_trainer(self.record, rank=0)
        followers.join_group()
        self.trainer.announce = followers.announce
        self.trainer.check_equal()
        self.trainer.restart_clock()
        self.start_saving()

    def score_checkpoints(self) -> None:
        self.trainer.check_equal()
        super().score_checkpoints()

    def save_checkpoints(self) -> None:
        self.trainer.check_equal()
        super().save_checkpoints()
