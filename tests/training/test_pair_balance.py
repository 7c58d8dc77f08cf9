from collections import Counter

from overread.training.pair_balance import at_most, balanced, yes_or_no
from tests.training.test_dpo import pair


def test_each_kind_prefers_yes_as_often_as_no() -> None:
    pairs = [
        *(pair(n, "look", chosen="Yes.") for n in range(9)),
        *(pair(n, "look", chosen="No.") for n in range(9, 12)),
        *(pair(n, chosen="No, there is no mass.") for n in range(4)),
        *(pair(n, chosen="12.5 mm") for n in range(4, 6)),
    ]
    kept = balanced(pairs)
    said = Counter((one.kind, yes_or_no(one.chosen)) for one in kept)
    assert said == {("look", "yes"): 3, ("look", "no"): 3, ("use_context", ""): 2}
    assert kept == [one for one in pairs if one in kept]
    assert balanced(reversed(pairs)) == list(reversed(kept))


def test_as_many_pairs_use_reports_as_resist_them() -> None:
    pairs = [
        *(pair(n, "resist_context", chosen="left") for n in range(7)),
        *(pair(n, "use_context", chosen="left") for n in range(7, 10)),
        *(pair(n, "look", chosen="left") for n in range(10, 15)),
    ]
    assert Counter(one.kind for one in balanced(pairs)) == {
        "resist_context": 3, "use_context": 3, "look": 5,
    }  # fmt: skip


def test_a_kind_without_its_counterpart_stays() -> None:
    pairs = [pair(n, "resist_context", chosen="left") for n in range(4)]
    assert balanced(pairs) == pairs


def test_no_more_of_a_kind_than_its_limit() -> None:
    pairs = [
        *(pair(n, "look") for n in range(5)),
        *(pair(n, "use_context") for n in range(5, 8)),
    ]
    kept = at_most(pairs, {"look": 2, "call_tool": 1})
    assert Counter(one.kind for one in kept) == {"look": 2, "use_context": 3}
    assert kept == [one for one in pairs if one in kept]
    assert at_most(reversed(pairs), {"look": 2}) == list(reversed(kept))
    assert at_most(pairs, {"look": 9}) == pairs
