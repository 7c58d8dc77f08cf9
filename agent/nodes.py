"""The nodes of the graph. Each returns only what it changes, so that a checkpoint is a whole step."""

from dataclasses import asdict
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from overread.agent import events, feedback
from overread.agent.asked import in_listed_words
from overread.agent.context import Surroundings
from overread.agent.course import unseen
from overread.agent.intake import check_question, describe, register
from overread.agent.ledger import Ledger, spread_citations
from overread.agent.planner import ToolChoice
from overread.agent.prompts import Entry, evidence_line
from overread.agent.state import Json, Run, State
from overread.agent.steps import MAX_ANSWER, InvalidStep, Step, parse_step, step_schema
from overread.agent.stream import AnswerStream
from overread.agent.threads import in_thread
from overread.agent.toolrun import Outcome, call_key, run_calls
from overread.agent.verifier import Problem, abstains, mended, verify, without
from overread.imaging.errors import InputError, NoUsableReply
from overread.imaging.study import ImageRef
from overread.tools.base import Evidence
from overread.tools.fence import clean

_MAX_LOOPS = 2
_MAX_BAD_REPLY = 400


class Nodes:
    """What the graph does at each place."""

    def __init__(self, around: Surroundings) -> None:
        """Work with the planner and the tools around."""
        self._around = around
        self._config = around.config.agent

    async def intake(self, state: State, runtime: Runtime[Run]) -> State:
        """Check the question, take the new images in, and open the question."""
        question = check_question(clean(state["question"]), self._config.max_question_chars)
        sources = runtime.context.sources
        if len(sources) != state.get("expected_images", 0):
            raise InputError(
                "the session stopped before its images were read; ask again with the same images"
            )
        images = list(state.get("images", []))
        ledger = Ledger(_evidence(state))
        old = len(ledger)
        with runtime.context.clock.measure("intake"):
            resources = self._around.resources
            refs = await in_thread(lambda: register(resources, sources, self._config.max_images))
            fresh = [str(ref) for ref in refs if str(ref) not in images]
            if len(images) + len(fresh) > self._config.max_images:
                raise InputError(
                    f"the session would have {len(images) + len(fresh)} images; at most "
                    f"{self._config.max_images} are allowed (agent.max_images, or the planner's profile)"
                )
            for ref in fresh:
                images.append(ref)
                number = len(images)
                parsed = ImageRef.parse(ref)
                content, result = await in_thread(
                    lambda ref=parsed, number=number: describe(resources, ref, number)  # type: ignore[misc]
                )
                ledger.append("intake", {"image": number}, clean(content), result)
            await self._around.pictures(images)
            await self._around.tools({"images": images, "evidence": []})
        added = list(ledger)[old:]
        for entry in added:
            runtime.stream_writer(events.EvidenceAdded(entry))
        transcript = [*_finished(state), asdict(Entry("question", question))]
        return {
            "question": question,
            "images": images,
            "evidence": [entry.model_dump(mode="json") for entry in added],
            "transcript": transcript,
            "seen": state.get("seen", {}),
            "asked": [],
            "steps": 0,
            "calls": 0,
            "loops": 0,
            "step": None,
            "draft": "",
            "problems": [],
            "revised": False,
            "result": None,
        }

    async def planner(self, state: State, runtime: Runtime[Run]) -> State:
        """Ask the planner for its next step."""
        tools = await self._around.tools(state)
        messages = await self._around.messages(state, tools)
        must_answer = state["steps"] + 1 >= self._config.max_steps or state["loops"] >= _MAX_LOOPS
        # An answer that failed although no tool was used, or one image alone was looked at where a
        # change was asked for: look first, then answer again.
        left = unseen(_evidence(state), state["question"])
        unread = bool(left) or not state["asked"]
        must_call = state["revised"] and unread and not must_answer and bool(tools)
        choice: ToolChoice = "none" if must_answer else "required" if must_call else "auto"

        def on_answer(text: str) -> None:
            runtime.stream_writer(events.Token(text))

        native = self._around.planner.profile.tool_calls == "native"
        on_text = on_answer if native else AnswerStream(on_answer).feed
        clock = runtime.context.clock
        schema = step_schema(
            tools,
            may_ask=state["may_ask"],
            must_answer=must_answer,
            must_call=must_call,
            images=left,
        )
        with clock.measure("model"):
            reply, spent = await self._around.planner.step(messages, schema, tools, choice, on_text)
        clock.steps += 1
        clock.prompt_tokens += spent.prompt_tokens
        clock.completion_tokens += spent.completion_tokens
        number = state["steps"] + 1
        try:
            step = parse_step(reply, tools)
            if must_answer and step.answer is None:
                raise InvalidStep("only an answer is allowed now")
        except InvalidStep as error:
            clock.refused += 1
            if state["revised"]:  # the draft stands, less what fails
                step = Step(why="", answer=state["draft"] or feedback.NOT_ENOUGH)
            elif must_answer:
                raise NoUsableReply(
                    f"the planner gave no usable answer within {number} steps (last: {error}); "
                    "ask in other words, or use a larger planner"
                ) from error
            else:
                said = asdict(Entry("step", clean(reply)[:_MAX_BAD_REPLY] or "{}"))
                objection = asdict(Entry("problems", feedback.invalid(str(error))))
                # Told what is wrong, it said the same again: it would go on so.
                stuck = state["transcript"][-2:-1] == [said]
                return {
                    "steps": number,
                    "loops": _MAX_LOOPS if stuck else state["loops"],
                    "step": None,
                    "transcript": [*state["transcript"], said, objection],
                }
        calls = tuple((call.tool, call.arguments) for call in step.calls or ())
        runtime.stream_writer(events.StepPlanned(number, step.why, calls, spent.seconds))
        return {
            "steps": number,
            "step": step.model_dump(mode="json", exclude_none=True),
            "transcript": [*state["transcript"], asdict(Entry("step", step.text()))],
        }

    async def tools(self, state: State, runtime: Runtime[Run]) -> State:
        """Run the calls of the step that were not run before, and record their evidence."""
        step = Step.model_validate(state["step"])
        calls = step.calls or ()
        seen, asked = state["seen"], state["asked"]
        keys = [call_key(call) for call in calls]
        fresh = [
            index
            for index, key in enumerate(keys)
            if key not in asked and key not in keys[:index] and not seen.get(key)
        ]
        numbers = {index: state["calls"] + place for place, index in enumerate(fresh, start=1)}
        for index, number in numbers.items():
            call = calls[index]
            runtime.stream_writer(events.ToolStarted(number, call.tool, call.arguments))
        tools = await self._around.tools(state)
        clock = runtime.context.clock
        with clock.measure("tools"):
            outcomes = await run_calls(
                [calls[index] for index in fresh], tools, self._config.tool_timeout_s
            )
        clock.calls += len(fresh)
        ledger = Ledger(_evidence(state))
        known = {entry.id: evidence_line(entry.id, entry.content) for entry in ledger}
        old = len(ledger)
        done: dict[int, Outcome] = dict(zip(fresh, outcomes, strict=True))
        seen = dict(seen)
        lines: list[str] = []
        for index, call in enumerate(calls):
            key = keys[index]
            if index not in done:
                line = known.get(seen.get(key, ""))
                again = key in asked or key in keys[:index]
                lines.append(feedback.repeated(call.tool, line) if again else line or "")
                continue
            outcome, entry = done[index], None
            if outcome.result is not None:
                entry = ledger.append(call.tool, call.arguments, outcome.content, outcome.result)
                known[entry.id] = evidence_line(entry.id, entry.content)
            lines.append(known[entry.id] if entry else outcome.error or "")
            seen[key] = entry.id if entry else ""
            runtime.stream_writer(
                events.ToolFinished(
                    numbers[index], call.tool, outcome.seconds, entry, outcome.error
                )
            )
        results = Entry("results", "\n".join(lines))
        return {
            "seen": seen,
            "asked": list(dict.fromkeys([*asked, *keys])),
            "calls": state["calls"] + len(fresh),
            "loops": state["loops"] + all(key in asked for key in keys),
            "evidence": [entry.model_dump(mode="json") for entry in list(ledger)[old:]],
            "transcript": [*state["transcript"], asdict(results)],
        }

    async def clarify(self, state: State) -> State:
        """Wait for the user's reply to the planner's question."""
        reply = interrupt({"kind": "clarify", "text": (state["step"] or {})["ask"]})
        entry = Entry("problems", feedback.clarified(clean(str(reply))))
        return {"transcript": [*state["transcript"], asdict(entry)]}

    async def compose(self, state: State) -> State:
        """Bring the planner's answer into the form that is verified and shown."""
        text = str((state["step"] or {})["answer"])
        return {"draft": " ".join(spread_citations(clean(text)).split()), "problems": []}

    async def verify(self, state: State, runtime: Runtime[Run]) -> State:
        """Hold the draft against the evidence; object once, then mend or remove what still fails."""
        if not self._config.verify:
            return {"problems": [], "result": _result(state["draft"], [])}
        evidence = _evidence(state)
        problems = verify(state["draft"], evidence, state["question"])
        if problems and not state["revised"]:
            reasons = tuple(f"{problem.sentence} {problem.reason}" for problem in problems)
            runtime.stream_writer(events.Revising(reasons))
            objection = Entry("problems", feedback.complaint(problems))
            return {
                "problems": [asdict(problem) for problem in problems],
                "revised": True,
                "transcript": [*state["transcript"], asdict(objection)],
            }
        problems = mended(problems, evidence, state["question"])
        text = in_listed_words(state["question"], without(state["draft"], problems))
        return {"problems": [], "result": _result(text, problems)}

    async def sign_off(self, state: State) -> State:
        """Wait for a person to approve, correct or refuse the answer."""
        result = state["result"] or {}
        decision: Any = interrupt({"kind": "sign_off", "text": result["text"]})
        approved = decision if isinstance(decision, dict) else {"approved": bool(decision)}
        if not approved.get("approved"):
            result = {**result, "text": "Not signed off.", "abstained": True}
        elif approved.get("text"):
            result = {**result, "text": str(approved["text"])}
        return {"result": result}

    async def answer(self, state: State) -> State:
        """Close the question: later ones see the verified answer, not the draft."""
        result = state["result"] or {}
        text = str(result["text"])[:MAX_ANSWER]
        step = Step(why=str((state["step"] or {}).get("why", "")), answer=text)
        return {"transcript": [*state["transcript"][:-1], asdict(Entry("step", step.text()))]}


def _evidence(state: State) -> list[Evidence]:
    return [Evidence.model_validate(item) for item in state.get("evidence", [])]


def _finished(state: State) -> list[Json]:
    """Return the transcript without a question that was left unanswered."""
    transcript = state.get("transcript", [])
    if state.get("result") is not None or not transcript:
        return transcript
    last = max(index for index, entry in enumerate(transcript) if entry["kind"] == "question")
    return transcript[:last]


def _result(text: str, problems: list[Problem]) -> Json:
    if not text:
        text = feedback.NOT_ENOUGH
    return {
        "text": text,
        "abstained": abstains(text),
        "removed": [asdict(problem) for problem in problems],
    }
