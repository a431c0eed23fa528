"""A reward that asks another model: any server that speaks OpenAI's chat completions.

rubric.py   what the judge is told, with places for what it is to judge
message.py  a rubric filled in, with the response fenced off
reply.py    what a server answered
verdict.py  from an answer to a number
client.py   asking, again where the server failed
cache.py    answers kept on disk
judge.py    the reward
"""
