"""What the agent may call. Each tool is one file, found through the `overread.tools` entry points.

A tool of your own is a distribution with `entry-points."overread.tools".my_tool = "mine:build"`,
where `build(context)` takes a `ToolContext` and returns a LangChain tool of the same name, most
easily by `overread.tools.border.make_tool`. Nothing here changes.
"""
