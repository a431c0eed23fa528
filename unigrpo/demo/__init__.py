"""The demo: a page on which models answer, look, draw and repair pictures, step by step.

Imported by `unigrpo demo` alone, for it needs the extra `demo` (gradio).
"""
