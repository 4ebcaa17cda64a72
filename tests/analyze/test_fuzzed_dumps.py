"""Dumps of strangers: whatever stands in them, the whole analysis comes to its end."""

from __future__ import annotations

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from hanglens.knowledge.load import RulePack
from hanglens.model import Input, Parsed
from hanglens.parse.flight_recorder import parse_flight_recorder
from hanglens.parse.places import read_place
from hanglens.pipeline import diagnose_parsed
from hanglens.serialize import to_json
from tests.parse.test_flight_recorder import dump, entry

NUMBERS = st.integers(-3, 12) | st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**70)])
ODD = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats()
    | st.text(max_size=4)
    | st.lists(NUMBERS, max_size=3)
    | st.dictionaries(st.text(max_size=2), NUMBERS)
)
GROUPS = st.sampled_from([("0", "default_pg"), ("1", "tp"), ("1", "dp"), ["1", "tp"], ("", ""), ("9",), None])
OPS = st.sampled_from(
    ["nccl:all_reduce", "nccl:broadcast", "nccl:send 0->1", "nccl:recv 1<-0", "nccl:send 9->7", "gloo:barrier", "coalesced", ":", ""]
)
SHAPES = st.lists(st.lists(NUMBERS, max_size=3) | ODD, max_size=10) | ODD
FIELDS = {
    "process_group": GROUPS,
    "pg_id": st.integers(0, 2) | ODD,
    "is_p2p": st.booleans() | ODD,
    "collective_seq_id": NUMBERS | ODD,
    "p2p_seq_id": NUMBERS | ODD,
    "profiling_name": OPS | ODD,
    "state": st.sampled_from(["scheduled", "started", "completed"]) | ODD,
    "input_sizes": SHAPES,
    "input_dtypes": st.lists(st.text(max_size=3) | ODD, max_size=2) | ODD,
    "output_sizes": SHAPES,
    "frames": st.lists(ODD, max_size=2) | ODD,
    "retired": st.booleans() | ODD,
}
ENTRIES = st.lists(st.fixed_dictionaries({}, optional=FIELDS).map(lambda more: entry(1) | more) | ODD, max_size=8)
RANKS = st.sampled_from(["[0, 1, 2]", "[2, 0]", "[1]", "[]", "x", [0, 1], [0, "y"], None, "[0, 0, 99999999]"])
NAMES = st.sampled_from(["0", "1", ""])
CONFIG = st.dictionaries(NAMES, st.fixed_dictionaries({"name": NAMES | ODD, "ranks": RANKS}) | ODD, max_size=3)
COUNTERS = st.fixed_dictionaries({f"last_{what}_collective": NUMBERS | ODD for what in ("enqueued", "started", "completed")})
STATUS = st.dictionaries(st.sampled_from(["0", "1", "7"]), COUNTERS | ODD, max_size=2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ENTRIES, CONFIG | ODD, STATUS | ODD), min_size=1, max_size=4))
def test_any_dumps_end_in_a_diagnosis(ranks: list[tuple[list[object], object, object]]) -> None:
    """Records, groups and counters of any types and numbers: a diagnosis comes out, and can be written."""
    parts = []
    for rank, (entries, config, status) in enumerate(ranks):
        place = read_place(f"nccl_trace_rank_{rank}")
        data = pickle.dumps(dump(pg_config=config, pg_status=status) | {"entries": entries}, 2)
        parts += [
            parse_flight_recorder(data, place, len(data)),
            Parsed(inputs=(Input(place.file, "flight recorder", len(data), rank=rank),)),
        ]
    diagnosis = diagnose_parsed(Parsed.total(parts), RulePack(()))
    assert b'"verdict"' in to_json(diagnosis)
