"""A process that asks one question, to be killed in the middle of it.

Usage: python -m tests.agent.killed DATA URL SESSION QUESTION [IMAGE]
"""

import sys
from pathlib import Path

from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.profiles import load_profile
from tests.agent.conftest import simple_tools

if __name__ == "__main__":
    data, url, session, question, *images = sys.argv[1:]
    config = Config(data_dir=Path(data), planner={"base_url": url})
    with Assistant(config, load_profile("bundled"), simple_tools) as assistant:
        assistant.ask(question, images, session)
