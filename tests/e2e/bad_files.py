"""Files that are wrong, each in one way."""

FILES = {
    "typo.yaml": "optim:\n  lrr: 1e-3\n",
    "broken.yaml": "optim: {lr: \n",
    "garbage.yaml": b"\xff\xfe\x00steps",
    "good.jsonl": '{"prompt": "1+1=", "answer": "2", "response": "2"}\n' * 8,
    "columns.jsonl": '{"question": "1+1=", "answer": "2"}\n',
    "unanswered.jsonl": '{"prompt": "1+1=", "answer": "2"}\n{"prompt": "1+2=", "answer": null}\n',
    "empty.jsonl": "",
    "broken.jsonl": '{"prompt": "1+1=", "answer": "2"}\n{"prompt": "1+2=", "answer\n',
    "list.jsonl": "[1, 2]\n",
    "long.jsonl": f'{{"prompt": "{"1+" * 300}1=", "answer": "301"}}\n',
    "garbage.jsonl": b"\x1f\x8b\x08\x00\xff\xfe\xfa" * 9,
    "garbage.parquet": b"\x1f\x8b\x08\x00\xff\xfe\xfa" * 9,
    "folder/notes.txt": "no dataset",
    "odd.py": """
def raises(response):
    return {}["score"]

def nan(response):
    return float("nan")

def many(response):
    return [0.0, 1.0]

def level(response, difficulty):
    return difficulty
""",
    "syntax.py": "def mine(response)\n    return 1\n",
    "importing.py": "import no_such_package\n",
    "leaving.py": "import sys\nsys.exit(3)\n",
    "model/notes.txt": "no model",
}
