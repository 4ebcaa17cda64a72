"""Secrets always go; host names, addresses, users and prompts go on demand, and what is read of a hang stays."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanglens.privacy.nested import redact_value
from hanglens.privacy.redactor import Redactor
from hanglens.privacy.settings import keep_setting
from hanglens.privacy.values import HIDDEN
from tests.builders import read

NCCL = (
    "{host}:1056:1056 [1] NCCL INFO ncclCommInitRankConfig comm 0x9a0ca70 rank 1 nranks 2 cudaDev 1 nvmlDev 1 busId 70 "
    "commId 0xf9ce7ea4ecead208 - Init COMPLETE"
)
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAA\nQyNTUxOQ==\n"
    "-----END OPENSSH PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

PIECES = (
    "token", "HF_TOKEN", "password", "api_key", "--api-keys", "authorization", "Bearer ", "prompt", "content", "text",
    "input_ids", "=", ": ", " ", ",", '"', "'", "\\", "[", "]", "(", "{", "}", "<", ">", "\n", "\r\n", "\0", "\t",
    "s3cr3tValue", "<secret>", "<prompt of 3 characters>", "hf_AbCdEfGhIjKlMnOpQrSt", "sk-abc123def456ghi789", "://",
    "@", ":", "/home/", "alice", "host-1", "user-2", "gpu01", "gpu01.example.com", "gpu01:12:13 [0] NCCL INFO x",
    "10.0.0.1", "127.0.0.1", "fe80::1:2", "2001:db8::1", "aa:bb:cc:dd:ee:0f", "12:34:56", "::", "\u00e9", "\u0130",
    "\u2028", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "A" * 64, "\udcff", "&x=", "?sig=", ".",
    "-", "_", "1",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=24).map("".join))


def named(*hosts: str, users: tuple[str, ...] = ()) -> Redactor:
    """A Redactor of names that knows these."""
    redactor = Redactor(names=True)
    redactor.learn(hosts, users)
    return redactor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HF_TOKEN=hunter2x", "HF_TOKEN=<secret>"),
        ("export WANDB_API_KEY=hunter2x tp=2", "export WANDB_API_KEY=<secret> tp=2"),
        ("AWS_SECRET_ACCESS_KEY=wJalr/K7+MDENG", "AWS_SECRET_ACCESS_KEY=<secret>"),
        ("aws_session_token = Fwo/x==", "aws_session_token = <secret>"),
        ("password: hunter2, tp: 2", "password: <secret>, tp: 2"),
        ("passwd=123456", "passwd=<secret>"),
        ("GOOGLE_APPLICATION_CREDENTIALS=/k.json", "GOOGLE_APPLICATION_CREDENTIALS=<secret>"),
        ('{"api_key": "hun\\"ter2", "tp": 2}', '{"api_key": "<secret>", "tp": 2}'),
        ('{"password": 12345678, "tp": 2}', '{"password": "<secret>", "tp": 2}'),
        ('{"body": "{\\"token\\": \\"hun\\\\\\"ter2\\", \\"tp\\": 2}"}', '{"body": "{\\"token\\": \\"<secret>\\", \\"tp\\": 2}"}'),
        ("{'accessToken': 'hunter2', 'tp': 2}", "{'accessToken': '<secret>', 'tp': 2}"),
        ("Namespace(api_key=['hunter2', 'hunter3'], tp=2)", "Namespace(api_key=['<secret>', '<secret>'], tp=2)"),
        ("api_key=SecretStr('hunter2'), tp=2", "api_key=SecretStr('<secret>'), tp=2"),
        ("serve --api-key hunter2 --tp 2", "serve --api-key <secret> --tp 2"),
        ("serve --api-keys hunter2 hunter3 --tp 2", "serve --api-keys <secret> <secret> --tp 2"),
        ("serve --hf-token=hunter2 --tp 2", "serve --hf-token=<secret> --tp 2"),
        ("['--api-key', 'hunter2', '--tp', '2']", "['--api-key', '<secret>', '--tp', '2']"),
        ("serve\0--api-keys\0hunter 2\0hunter3\0--tp\x002\0", "serve\0--api-keys\0<secret>\0<secret>\0--tp\x002\0"),
        ("RANK=0\0DB_PASSWORD=a b,c'd\0TP=2\0", "RANK=0\0DB_PASSWORD=<secret>\0TP=2\0"),
        ("A=1\0DEPLOY_SECRET=one\ntwo\0TP=2\0", "A=1\0DEPLOY_SECRET=<secret>\n\0TP=2\0"),
        ("Authorization: Basic aHVudGVyMg==", "Authorization: Basic <secret>"),
        ("'Authorization': 'Bearer hunter2'", "'Authorization': '<secret>'"),
        ("got header Bearer xyz", "got header Bearer <secret>"),
        ("redis://:hunter2@cache:6379/0", "redis://:<secret>@cache:6379/0"),
        ("https://bob:hun@ter2@example.com/x", "https://bob:<secret>@example.com/x"),
        ("GET /v1?token=hunter2&model=m", "GET /v1?token=<secret>&model=m"),
        ("GET https://b.example/w.bin?se=1&sig=ab%2Fc&sp=r", "GET https://b.example/w.bin?se=1&sig=<secret>&sp=r"),
        ("loaded hf_AbCdEfGhIjKlMnOpQrSt here", "loaded <secret> here"),
        ("key sk-proj-abc123DEF456ghi789, then", "key <secret>, then"),
        ("ghp_abcdefABCDEF0123456789 gho_abcdefABCDEF0123456789", "<secret> <secret>"),
        ("github_pat_11ABCDEFG0abcdefghij_klm", HIDDEN),
        ("glpat-AbCdEfGhIjKlMnOpQrSt", HIDDEN),
        ("AKIAIOSFODNN7EXAMPLE", HIDDEN),
        ("xoxb-123456789012-abcdefABCDEF", HIDDEN),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", HIDDEN),
        (f"cookie {JWT};", "cookie <secret>;"),
        (
            json.dumps("a\npassword: hunter2\n--api-key hunter2\nhf_AbCdEfGhIjKlMnOpQrSt\nx"),
            '"a\\npassword: <secret>\\n--api-key <secret>\\n<secret>\\nx"',
        ),
        ("password='hunter2 is cut", "password='<secret>"),
        (f"a\n{KEY}\nb", "a\n<secret>\n\n\n\nb"),
        (json.dumps({"pem": KEY}), '{"pem": "<secret>"}'),
        ("\n".join(KEY.split("\n")[:2]) + "\nready to serve now", "<secret>\n\nready to serve now"),
    ],
)  # fmt: skip
def test_secret_is_hidden(text: str, expected: str) -> None:
    """A secret goes whatever it is written in, and nothing around it does."""
    redactor = Redactor()
    assert redactor.text(text) == expected
    assert redactor.counts == {"secret": expected.count(HIDDEN)}
    assert not redactor.table


@pytest.mark.parametrize(
    "text",
    [
        "max_new_tokens=64, num_tokens: 512, skip_special_tokens=True, token_ids=[1, 2]",
        "bos_token='<s>', eos_token_id=2, pad_token: '[PAD]', image_token=\"<image>\", stop_token = '!'",
        "input tokens: 5, tokens: 1,383,552, next token: 1234, 12.4 tokens/s",
        "tokenizer='/models/x', tokenizer_mode=auto, use_fast_tokenizer: true",
        "serve --max-prefill-token-num 8192 --tokenizer x --max-num-batched-tokens 2048",
        "model forward. batch_size=2 num_tokens=27 is_dummy=False",
        "synchronize token ids; Bearer token is missing",
        NCCL.format(host="gpu01"),
        "api_key=None, hf_token: null, token=False, password='', secret=****, token=<secret>",
        "hf_hub_download hf_transfer hf_overrides={} task-1234567890abcdef disk-0123456789abcdef sk-learn",
        "open /etc/passwd: permission denied",
        '{"message": "invalid token: ", "code": 5}',
        "token::Kind c10d::Store eyJ hf_ sk- AKIA",
        "def login(token: str = None, password: Optional[str] = None):",
        "http://node0:29500/status tcp://10.0.0.1:29500",
        "-----BEGIN CERTIFICATE-----",
        "serve --enable-token --tp 2",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Tokens of a language model, flags, counts, pointers and what is no value are left as they are."""
    redactor = Redactor()
    assert redactor.text(text) == text
    assert not redactor.counts


def test_names_stay_unless_asked() -> None:
    """Without names, hosts, addresses, users and prompts stay, learned or not."""
    redactor = Redactor()
    redactor.learn(["gpu01"], ["alice"])
    text = f"{NCCL.format(host='gpu01')}\n/home/alice 10.0.0.1 prompt='Hi'"
    assert redactor.text(text) == text


def test_host_is_one_in_all_its_forms() -> None:
    """The full name, the short one, either case, a file's name and NCCL's prefix are one host; a longer word is another."""
    redactor = named("gpu01.cluster.example.com", "gpu1")
    assert redactor.text("GPU01 gpu01.cluster.example.com nccl.gpu01.123.log gpu01_0 gpu012 gpu1") == (
        "host-1 host-1 nccl.host-1.123.log host-1_0 gpu012 host-2"
    )
    assert redactor.text(NCCL.format(host="gpu01")) == NCCL.format(host="host-1")
    assert redactor.text("seen gpu07.cluster.example.com") == "seen host-3"
    assert redactor.counts == {"host": 7}
    assert redactor.table == (
        ("host", "GPU01", "host-1"),
        ("host", "gpu01.cluster.example.com", "host-1"),
        ("host", "gpu1", "host-2"),
        ("host", "gpu07.cluster.example.com", "host-3"),
    )


def test_name_behind_an_escape() -> None:
    """In a string of JSON a name at the beginning of a line stands behind a letter that is not of it."""
    line = json.dumps(f"a\n{NCCL.format(host='gpu01')}\n10.0.0.1\ngpu01\n\x1fgpu01")
    expected = f"a\n{NCCL.format(host='host-1')}\n198.18.0.1\nhost-1\n\x1fhost-1"
    assert json.loads(named().text(line)) == expected


@pytest.mark.parametrize(
    "text",
    [
        NCCL.format(host="trainbox"),
        "[2026-03-05 20:00:10] trainbox:12:99 [0] misc/socket.cc:58 NCCL WARN Connect failed",
        "  Rank 1 -- GPU 1 managed by process 955 on node trainbox",
        "  Process 955 on node trainbox managing GPU 1",
        "MASTER_ADDR=trainbox",
        "torchrun --rdzv-endpoint=trainbox:29500",
        "dist_init_method=tcp://trainbox:29500",
        "Mar  5 20:00:10 trainbox kernel: NVRM: Xid",
    ],
)
def test_host_is_learned_where_formats_name_it(text: str) -> None:
    """NCCL, RAS, rendezvous addresses and syslog name hosts, which then go from the lines above, too."""
    assert named().text(f"on trainbox\n{text}\n") == f"on host-1\n{text}\n".replace("trainbox", "host-1")


@pytest.mark.parametrize(
    "name", ["localhost", "localhost.localdomain", "root", "", "vm", "n", "1234", "10.0.0.1", "worker", "ray", "H100", "a b", "é12"]
)
def test_generic_name_is_not_taken(name: str) -> None:
    """A name that says nothing, or is a word of the formats, is not replaced all over the logs."""
    text = f"on {name} x"
    redactor = Redactor(names=True)
    redactor.learn([name], [name])
    assert redactor.text(text).replace("198.18.0.1", "10.0.0.1") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OOB eth0:192.0.2.2<0>", "OOB eth0:198.18.0.1<0>"),
        ("10.0.0.1:29500 10.0.0.2 10.0.0.1/24 (10.0.0.2)", "198.18.0.1:29500 198.18.0.2 198.18.0.1/24 (198.18.0.2)"),
        ("tcp://10.0.0.1:29500, ip=10.0.0.1)", "tcp://198.18.0.1:29500, ip=198.18.0.1)"),
        ("on node 10.0.0.1 managing", "on node 198.18.0.1 managing"),
        ("::ffff:10.0.0.1", "::ffff:198.18.0.1"),
        ("[2001:0DB8:1::5]:29500 2001:db8:1::5", "[2001:db8::1]:29500 2001:db8::1"),
        ("fd00::12 fe80::a1:b2%eth0", "2001:db8::1 fe80::1%eth0"),
        ("Using [0]eth0:fe80::1234:5678:9abc:def0%eth0<0>", "Using [0]eth0:fe80::1%eth0<0>"),
        ("fd00::12: no route", "2001:db8::1: no route"),
        ("2a01:4f8:0:1:2:3:4:5", "2001:db8::1"),
        ("link/ether AA:bb:cc:dd:ee:0f brd ff:ff:ff:ff:ff:ff", "link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff"),
    ],
)
def test_address_is_replaced(text: str, expected: str) -> None:
    """An address becomes another one of its kind, and ports, interfaces and prefixes behind it stay."""
    assert named().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:29500 0.0.0.0 255.255.255.0 ::1 [::]:8000 fe80::1 198.18.0.7 2001:db8::2",
        "NCCL version 2.28.9 driver 580.159.04 535.161.8.1",
        "nvidia-cublas-cu12==12.4.5.8 libcublas.so.12.4.5.8 cudnn version 9.1.0.70 v1.2.3.4 1.2.3.4.5",
        "nvidia_cublas_cu12-12.4.5.8.dist-info",
        "at 12:34:56 2026-11-22T12:34:56 on 0000:3b:00.0 00000000:3B:00.0",
        "a::b std::vector c10::Error c10d::Reducer c10::ad ::at::native face::cafe dead::beef",
        "0x7ffd88318c98 commId 0xf9ce7ea4ecead208 f9ce7ea4ecead208 00:00:00:00:00:00",
    ],
)
def test_no_address(text: str) -> None:
    """Addresses that mean something stay, as do versions, times, PCI ids, names of C++ and our own pseudonyms."""
    assert named().text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/alice/x.py /Users/alice /home/bob", "/home/user-1/x.py /Users/user-1 /home/user-2"),
        ("ssh alice@gpu01 and bob@10.0.0.1", "ssh user-1@host-1 and user-2@198.18.0.1"),
        ("USER=alice\0HOME=/home/alice\0", "USER=user-1\0HOME=/home/user-1\0"),
        ("ssh://alice:pw@gpu01/", "ssh://user-1:<secret>@host-1/"),
        ("carol 4711 python3 train.py", "user-1 4711 python3 train.py"),
        ("SLURM_JOB_NODELIST=gpu[01-04],big7", "SLURM_JOB_NODELIST=host-2"),
    ],
)
def test_user_is_replaced(text: str, expected: str) -> None:
    """Users go from paths, logins and environments, and learned ones from everywhere."""
    redactor = Redactor(names=True)
    redactor.learn(["gpu01"])
    if "carol" in text:
        redactor.learn(users=["carol", "root"])
    assert redactor.text(text) == expected


@pytest.mark.parametrize(
    "text", ["root 1 /root/x root@gpu /home/ubuntu/x", "getty@tty1.service", "malloc@GLIBC_2.2.5", "@decorator", "torch@v2.5.1", "/home/"]
)
def test_no_user(text: str) -> None:
    """Root and common accounts stay, as does what is no login."""
    assert named().text(text) == text


def test_user_of_a_path_is_not_replaced_elsewhere() -> None:
    """A directory in /home may be called like any word, so only the directory is replaced."""
    assert named().text("/home/batch/x: batch 3") == "/home/user-1/x: batch 3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "request c-1: prompt: 'It\\'s me', params: Sampling(n=1), prompt_token_ids: [1, 2, 3]",
            "request c-1: prompt: '<prompt of 8 characters>', params: Sampling(n=1), prompt_token_ids: [<prompt of 7 characters>]",
        ),
        ("session=Session(id=0), prompt='Hi, who are you?'", "session=Session(id=0), prompt='<prompt of 16 characters>'"),
        ("prompt=[1]; prompt=['a b', \"c\"], n=1", "prompt=[1]; prompt=['<prompt of 3 characters>', \"<prompt of 1 characters>\"], n=1"),
        (
            "obj=GenerateReqInput(rid='r1', text='Hi', input_ids=[[1, 2], [3]], stream=True)",
            "obj=GenerateReqInput(rid='r1', text='<prompt of 2 characters>', input_ids=[<prompt of 11 characters>], stream=True)",
        ),
        (
            '{"messages": [{"role": "user", "content": "say \\"hi\\""}], "prompt": "x", "n": 5}',
            '{"messages": [{"role": "user", "content": "<prompt of 10 characters>"}], "prompt": "<prompt of 1 characters>", "n": 5}',
        ),
        ('{\\"content\\": \\"hello\\", \\"n\\": 1}', '{\\"content\\": \\"<prompt of 5 characters>\\", \\"n\\": 1}'),
        ("prompt: 'cut off here\nINFO next", "prompt: '<prompt of 12 characters>\nINFO next"),
        ("prompt: 'one\ntwo, it\\'s\nthree', n=1\nrank 3", "prompt: '<prompt of 20 characters>\n\n', n=1\nrank 3"),
        (
            '{"role": "user", "content": [{"type": "text", "text": "Hi"}]}',
            '{"role": "user", "content": [{"type": "text", "text": "<prompt of 2 characters>"}]}',
        ),
        ('prompt=\'cut "off" here', "prompt='<prompt of 14 characters>"),
    ],
)
def test_prompt_is_hidden(text: str, expected: str) -> None:
    """Only the text of a prompt goes, its length stays; one that no quote ends goes up to the next record."""
    redactor = named()
    assert redactor.text(text) == expected
    assert redactor.counts == {"prompt": expected.count("<prompt of")}
    assert not redactor.table


@pytest.mark.parametrize(
    "text",
    [
        "prompt_tokens=5, Avg prompt throughput: 0.0 tokens/s, prompt: none given",
        "num_input_ids=16. context='x' text='no request' content-type: x",
        '{"message": "no prompt: ", "code": 5}',
        "prompt='', prompt_token_ids: [], input_ids=None",
    ],
)
def test_no_prompt(text: str) -> None:
    """Counts, throughput and other words stay."""
    assert named().text(text) == text


def test_real_host_in_the_shape_of_a_pseudonym() -> None:
    """A host that is called host-1 keeps its name, and no other host gets it."""
    redactor = named("host-1", "gpu01")
    assert redactor.text("host-1 gpu01") == "host-1 host-2"


def test_second_redactor_changes_nothing() -> None:
    """What one Redactor has done another leaves, so that a redacted bundle can be analyzed with redaction."""
    text = f"{NCCL.format(host='gpu01')}\nalice@10.0.0.1 fe80::1:2 /home/alice prompt='x' password=y"
    once = named("gpu01").text(text)
    assert named().text(once) == once


def test_init_line_still_parses() -> None:
    """NCCL's Init line says the same of the rank after redaction, and names the pseudonym as its host."""
    (event,) = read({"nccl.log": named().text(NCCL.format(host="gpu01") + "\n")}).events
    assert (event.name, event.speaker.host, event.speaker.pid, event.fields["rank"], event.fields["id"]) == (
        "nccl.init", "host-1", 1056, "1", "0xf9ce7ea4ecead208",
    )  # fmt: skip


def test_dump_still_parses() -> None:
    """A dump of py-spy keeps its process, threads and frames, and loses what is private in its command line."""
    dump = (
        "Process 2547: /home/alice/venv/bin/python3 train.py --api-key hunter2 --epochs 3\nPython v3.12.3 (/usr/bin/python3.12)\n\n"
        'Thread 2547 (idle): "MainThread"\n    all_reduce (torch/distributed/distributed_c10d.py:3075)\n'
        '    login (/home/alice/auth.py:13)\n'
        '        Arguments:\n            token: "hunter2"\n            rank: 1\n'
    )  # fmt: skip
    redacted = named().bytes(dump.encode()).decode()
    (stack,) = read({"pid2547.pyspy.txt": redacted}).stacks
    assert [frame.function for frame in stack.frames] == ["all_reduce", "login"]
    assert (stack.pid, stack.command) == (2547, "/home/user-1/venv/bin/python3 train.py --api-key <secret> --epochs 3")
    assert "hunter2" not in redacted
    assert "alice" not in redacted


def test_value_is_walked() -> None:
    """Every string of a JSON value is redacted, by what later strings teach too; keys and other values stay."""
    value = {
        "gpu01": ["on gpu01", {"text": NCCL.format(host="gpu01")}],
        "n": (1, None, True, "10.0.0.1"),
        "api_key": "hunter2",
        "token": "5",
    }
    assert redact_value(value, named()) == {
        "gpu01": ["on host-1", {"text": NCCL.format(host="host-1")}],
        "n": (1, None, True, "198.18.0.1"),
        "api_key": HIDDEN,
        "token": "5",
    }


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("RANK", True),
        ("NCCL_DEBUG", True),
        ("MASTER_ADDR", True),
        ("HOME", False),
        ("RANKS", False),
        ("HF_HUB_TOKEN", False),
        ("VLLM_API_KEY", False),
    ],
)
def test_settings(name: str, kept: bool) -> None:
    """Only variables that matter for a hang are kept, and of those none that sounds like a secret."""
    assert keep_setting(name) is kept


@given(TEXTS, st.booleans())
@example("İpassword=x token='İ", True)
def test_any_text(text: str, names: bool) -> None:
    """Redaction keeps the number of lines, and done again changes nothing."""
    redactor = Redactor(names=names)
    redactor.learn(["gpu01.example.com"], ["alice"])
    once = redactor.text(text)
    assert once.count("\n") == text.count("\n")
    before = redactor.counts
    assert redactor.text(once) == once
    assert redactor.counts == before


@given(st.binary() | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), st.booleans())
def test_any_bytes(data: bytes, names: bool) -> None:
    """Bytes that are no text are no error, and are not changed."""
    redacted = Redactor(names=names).bytes(data)
    assert redacted.count(b"\n") == data.count(b"\n")
    assert redacted.count(b"\xff") == data.count(b"\xff")


@given(st.dictionaries(st.sampled_from(["token", "api_key", "prompt", "content", "x"]), TEXTS | st.integers(), max_size=4), st.booleans())
@example({"prompt": '?SIG=0"'}, True)
@example({"token": "--APIKEY", "api_key": ""}, False)
@example({"token": "-----BEGIN PRIVATE KEY-----", "api_key": "-----END PRIVATE KEY-----"}, False)
def test_json_stays_json(value: dict[str, object], nested: bool) -> None:
    """A line of JSON is one after redaction, also if it holds JSON in a string."""
    line = json.dumps(value)
    line = json.dumps({"body": line}) if nested else line
    redacted = json.loads(Redactor(names=True).text(line))
    assert set(json.loads(redacted["body"]) if nested else redacted) == set(value)


@pytest.mark.parametrize(
    "bit",
    [
        "a", "0", ":", ".", "-", "\\", "'", '"', " ", "=", "@", "\x00", "token=", "token='", 'token="a\\',
        "password: ", "--api-keys a ", "api_key=[", "sk-", "eyJ", "eyJa.", "hf_a", "://", "://a:",
        "-----BEGIN PRIVATE KEY-----", "-----END", "prompt='", "prompt=['a', ", "input_ids=[", "a:1:2 ", "a-", "1.",
        "10.0.0.1 ", "a:", "1:", "::", "/home/a", "a@a.", "bearer ", "\\'token=\\\\'", 'token=\\"prompt=\'',
        "Process 1 on node a", "text='",
    ],
)  # fmt: skip
def test_hostile_line_takes_linear_time(bit: str) -> None:
    """A long line that begins something again and again takes about a second, not hours."""
    redactor = named("gpu01.cluster.example.com")
    began = time.process_time()
    redactor.text(bit * (250_000 // len(bit)))
    assert time.process_time() - began < 4  # a slow machine; what grows with the square takes minutes


def test_many_names_take_linear_time() -> None:
    """Thousands of hosts and addresses are found without trying each name at each place."""
    lines = "".join(f"node-{n:05d}:1:1 [0] NCCL INFO 10.{n >> 8}.{n & 255}.1\n" for n in range(20_000))
    redactor = named()
    began = time.process_time()
    redacted = redactor.text(lines)
    assert time.process_time() - began < 6
    assert redacted.splitlines()[-1] == "host-20000:1:1 [0] NCCL INFO 198.18.78.32"
