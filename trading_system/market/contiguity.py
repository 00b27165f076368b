"""What the past of one stream says about a jump of its update id.

The venue promises that ``u`` grows, not that it grows by one. A stream that was seen to step by
one makes a jump a loss. Before that a jump only makes the book suspect until a snapshot comes. A
stream that jumps again and again without a run of ones between, while level 1 finds the book right
each time, jumps legally and is not punished for it, until a long run of ones shows otherwise.
"""

from __future__ import annotations

_PROOF_STEPS = 50
_LEGAL_JUMPS = 10
_STRICT_AGAIN_STEPS = 1_000


class Contiguity:
    """Learns from one topic over all its connections.

    Parameters
    ----------
    proof_steps : int
        Steps of one in a row after which a jump is a loss.
    legal_jumps : int
        Jumps that level 1 confirmed, without such a run between, after which a jump is legal.
    strict_again_steps : int
        Steps of one in a row after which a jump is a loss again though jumps were legal.
    """

    __slots__ = ("_confirmed", "_legal_jumps", "_proof_steps", "_steps", "_strict_again_steps")

    def __init__(
        self,
        *,
        proof_steps: int = _PROOF_STEPS,
        legal_jumps: int = _LEGAL_JUMPS,
        strict_again_steps: int = _STRICT_AGAIN_STEPS,
    ) -> None:
        self._proof_steps = proof_steps
        self._legal_jumps = legal_jumps
        self._strict_again_steps = strict_again_steps
        self._steps = 0
        self._confirmed = 0

    @property
    def is_strict(self) -> bool:
        """Whether a jump proves a loss."""
        return self._steps >= self._proof_steps and not self.is_loose

    @property
    def is_loose(self) -> bool:
        """Whether a jump says nothing."""
        return self._confirmed >= self._legal_jumps

    def stepped(self, steps: int) -> None:
        """Note ``steps`` of one in a row."""
        self._steps += steps
        if self._steps >= (self._strict_again_steps if self.is_loose else self._proof_steps):
            self._confirmed = 0

    def jumped(self) -> None:
        """Note a jump: the proof of steps of one begins anew."""
        self._steps = 0

    def confirmed(self) -> None:
        """Note that the book was right after a jump."""
        self._confirmed += 1

    def refuted(self) -> None:
        """Note that the book was wrong: its jumps are no longer taken for legal."""
        self._confirmed = 0
