"""Running programs that nobody has read, and learning what they do without believing what they say.

A program runs in a process that is forked off a supervisor, behind walls that the kernel keeps (`enclosure`, `seccomp`,
`landlock`): no other process or program, no network, no signal to anyone, no files but Python's own, bounds on memory,
time, output and disk, and the end of its supervisor or of the trainer is its own.

It cannot forge a success, because nothing it says is one. Tests run in the supervisor, and are read after the program
was forked off; they see values rebuilt from Python's own types (`remote`, `values`). What it prints is compared in the
trainer. All it can do is answer the calls of the tests, or print; it sees the arguments and inputs, but never what is
expected.

Not defended against: tests that are wrong, or so few that wrong programs pass; tests that judge by a function which the
program defines and the prompt does not; programs that tell by earlier calls what later ones will be; faults of the
kernel; and a busy machine, on which a slow program may be late.
"""

from rewards.sandbox.job import Calls, Limits, NotStartedError, Output, Verdict, run

__all__ = ["Calls", "Limits", "NotStartedError", "Output", "Verdict", "run"]
