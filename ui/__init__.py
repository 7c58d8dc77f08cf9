"""Gradio app and command line: the two front doors."""
