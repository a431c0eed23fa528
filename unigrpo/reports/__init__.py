"""Pages about runs: what is read from a run's folder, the curves, and one HTML file that needs nothing else.

told.py      what a page says of one run or stage, and of several together
runs.py      the runs in some folders, and their settings
read.py      found in the folder of a run, by its verb
series.py    metrics as points by name
panels.py    which of them are drawn together, in what units
charts.py    curves and pictures inside a page
tables.py    results, time, memory, environment
rollouts.py  rollouts to read; words.py compares them with the answer, replays.py shows how they came about
drawings.py  pictures of evaluations
warn.py      what of all this a person should look at
compare.py   several runs side by side
page.py      the page, from the templates, style and script in page/
"""
