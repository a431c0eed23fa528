"""Sweeps: the same training with other settings and seeds, and what is learned from comparing it.

points.py      which points are tried: a grid, or random draws
study.py       points that Optuna chooses
records.py     what a sweep remembers of its trials
process.py     one trial as a process: started, followed by what it logs, stopped; cli/launch.py is what runs in it
statistics.py  means and intervals over seeds
results.py     what trials came to
tables.py      that as csv and Markdown
plots.py       and as pictures
page.py        and as one page
board.py       how far the trials are

Trials are started by Ray Tune in `actors`, and what they are is decided in `unigrpo.cli.sweep_plan`.
"""
