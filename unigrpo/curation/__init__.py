"""Reasoning to learn from, written by a teacher and checked by rewards.

requests.py     what the teacher is asked, and the key of each answer
said.py         what it said
log.py          every answer, kept as it comes
teacher.py      what a teacher is
endpoint.py     a server of chat completions as the teacher
offline.py      vLLM's offline engine as the teacher, in a process of its own
engine/         that process, in a folder of its own, which is the first place it imports from
thoughts.py     from what was said to a thought and an answer
verify.py       rewards as the judge of answers
duplicates.py   rows that say the same
filters.py      which right answers are worth learning from
written.py      the rows as a file that `unigrpo sft` reads
folder.py       what of an earlier call may be replaced
summary.py      how many were kept, why others were not, and what it cost
loop.py         all of it, in order
"""
