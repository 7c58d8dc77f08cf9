"""The agent as a LangGraph state graph: which node follows which."""

from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from overread.agent.context import Surroundings
from overread.agent.nodes import Nodes
from overread.agent.state import Run, State


def build_graph(
    around: Surroundings, checkpointer: BaseCheckpointSaver[str]
) -> CompiledStateGraph[State, Run, Any, Any]:
    """Return the graph.

    intake -> planner <-> tools
              planner <-> clarify (a person replies)
              planner -> compose -> verify -> answer
                                    verify -> planner (the one revision)
                                    verify -> sign_off (a person approves) -> answer
    """
    nodes = Nodes(around)  # nodes and branches are coroutines: LangGraph puts others into threads
    graph = StateGraph(State, context_schema=Run)
    graph.add_node("intake", nodes.intake)
    graph.add_node("planner", nodes.planner)
    graph.add_node("tools", nodes.tools)
    graph.add_node("clarify", nodes.clarify)
    graph.add_node("compose", nodes.compose)
    graph.add_node("verify", nodes.verify)
    graph.add_node("sign_off", nodes.sign_off)
    graph.add_node("answer", nodes.answer)
    graph.add_edge(START, "intake")
    graph.add_edge("intake", "planner")
    graph.add_conditional_edges("planner", _after_planner)
    graph.add_edge("tools", "planner")
    graph.add_edge("clarify", "planner")
    graph.add_edge("compose", "verify")
    graph.add_conditional_edges("verify", _after_verify)
    graph.add_edge("sign_off", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer)


async def _after_planner(state: State) -> Literal["planner", "tools", "clarify", "compose"]:
    step = state["step"]
    if step is None:
        return "planner"
    if "calls" in step:
        return "tools"
    return "clarify" if "ask" in step else "compose"


async def _after_verify(state: State) -> Literal["planner", "sign_off", "answer"]:
    if state["result"] is None:
        return "planner"
    return "sign_off" if state["sign_off"] else "answer"
