import json
import math
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tratto.core import canonical
from tratto.core.errors import ReceiptError

# RFC 8785, appendix B: IEEE 754 bits and the text they must become
APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B)
def test_numbers_of_appendix_b(bits, text):
    value = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert canonical.dumps(value) == text.encode()


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_nan_and_infinity_are_refused(bits):
    with pytest.raises(ReceiptError, match="finite"):
        canonical.dumps(struct.unpack(">d", bytes.fromhex(bits))[0])


def test_sorting_example_of_section_3_2_3():
    # keys in the order the RFC prints them as input; the values name the expected place
    given_order = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    out = canonical.dumps(given_order)
    assert list(json.loads(out).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_example_of_section_3_2_2():
    source = (
        rb'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        rb'"string": "\u20ac$\u000F\u000aA' + b"'" + rb'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical.dumps(canonical.loads(source)) == expected.encode()


def test_escapes():
    every = "".join(chr(c) for c in range(0x20)) + '"\\/\x7f\u2028'
    assert canonical.dumps(every) == (
        b'"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f'
        b"\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"
        b'\\"\\\\/\x7f\xe2\x80\xa8"'
    )


def test_integers_beyond_double_precision_are_refused():
    assert canonical.dumps(2**53 - 1) == b"9007199254740991"
    assert canonical.dumps(-(2**53) + 1) == b"-9007199254740991"
    for bad in (2**53, -(2**53), 10**30):
        with pytest.raises(ReceiptError, match="2\\*\\*53"):
            canonical.dumps(bad)


@pytest.mark.parametrize(
    "bad",
    [{1: 2}, {"a": {1, 2}}, b"bytes", "\ud800", {"\udc00": 1}, object()],
    ids=["int key", "set", "bytes", "surrogate", "surrogate key", "object"],
)
def test_things_without_json_form_are_refused(bad):
    with pytest.raises(ReceiptError):
        canonical.dumps(bad)


def test_self_containing_structure_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(ReceiptError, match="nested"):
        canonical.dumps(loop)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"b":2,"a":1}}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"9007199254740993",
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udfff":0}',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b"{} x",
        b"",
        b"{'a':1}",
        b"[" * 200 + b"]" * 200,
        b"[" * 200_000,
    ],
)
def test_strict_reader_refuses(bad):
    with pytest.raises(ReceiptError):
        canonical.loads(bad)


def test_reader_stops_at_the_byte_limit():
    with pytest.raises(ReceiptError, match="at most 10"):
        canonical.loads(b"[" + b"0," * 20 + b"0]", max_bytes=10)


def is_canonical(data):
    try:
        return canonical.dumps(canonical.loads(data)) == data
    except ReceiptError:
        return False


def test_is_canonical_sees_every_other_spelling():
    assert is_canonical(b'{"a":1,"b":[1.5,"x"]}')
    for other in (
        b'{"b":[1.5,"x"],"a":1}',
        b'{"a":1, "b":[1.5,"x"]}',
        b'{"a":1.0,"b":[1.5,"x"]}',
        b'{"a":1}\n',
        b'"\\u0041"',
        b"-0",
        b"1E2",
    ):
        assert not is_canonical(other)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a machine with much else to do
@given(JSON)
def test_round_trip_keeps_value_and_form(obj):
    data = canonical.dumps(obj)
    back = canonical.loads(data)
    assert back == obj
    assert canonical.dumps(back) == data
    assert json.loads(data, parse_int=float) == obj  # a reader that knows only doubles agrees


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_exactly(value):
    text = canonical.dumps(value).decode()
    assert float(text) == value
    assert len(text) <= 25
    assert not math.isinf(float(text))
