r"""What must not leave the site is taken out of text: secrets always, and on demand names and prompts.

Secrets (tokens, passwords, keys) become `<secret>`. Host names, addresses and users become pseudonyms: `host-1`, `user-1`, an IPv4
address of the benchmark network 198.18.0.0/15 (RFC 2544), an IPv6 address of the documentation prefix 2001:db8::/32 (RFC 3849) or of
fe80::, a MAC address below 02:00:00:00. One name has one pseudonym for as long as the Redactor lives, so whoever joins files by their
hosts still can. Prompts become `<prompt of N characters>`. The formats that the parsers know stay parseable.

Each search starts at a literal and looks no further than a bounded distance, unless what it passes over is then replaced: so the time
grows with the text and not with its square.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Literal

Kind = Literal["secret", "host", "address", "user", "prompt"]
Span = tuple[int, int]
_Change = tuple[int, int, Kind, str]  # from, to, what stands there, and what shall

SETTINGS = re.compile(
    r"(?:RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_RANK|NODE_RANK|NNODES|CUDA_VISIBLE_DEVICES|CUDA_LAUNCH_BLOCKING|CUDA_MODULE_LOADING"
    r"|CUDA_DEVICE_MAX_CONNECTIONS|OMP_NUM_THREADS|LD_PRELOAD|NVIDIA_VISIBLE_DEVICES|MAX_JOBS"
    r"|(?:MASTER|NCCL|TORCH|TORCHELASTIC|PYTORCH|GLOO|TP|LMDEPLOY|TM|VLLM|SGLANG|SGL|RAY|OMPI_COMM_WORLD|PMI|SLURM|HF_HUB|TRITON|FLASHINFER|NVSHMEM"
    r"|UCX|FI|MC)_\w+)$"
)
_SECRET = re.compile(r"(?i)token|secret|password|passwd|credential|api_?key")

HIDDEN = "<secret>"
MOST_NAMES = 60_000  # of a kind; those beyond share the last pseudonym, so that a hostile log fills neither the memory nor a /16
_ROUNDS = 8  # what was replaced may let its surroundings read otherwise, so the result is read again until nothing is found

# A quote may stand in a string of JSON, and that in another: then 1 or 3 backslashes stand before it.
_QUOTE = r"\\{0,3}[\"']"
_ASSIGNED = r"\]?[ \t]{0,3}(?:=(?:={1,2}|>)?|:(?!:)=?)[ \t]{0,8}"
_TAIL = rf"(?P<close>{_QUOTE})?(?:{_ASSIGNED}|(?P<flag>[ \0]|(?<=[\"']),[ \t]{{0,3}}(?={_QUOTE})))"
_MORE = r"[a-z0-9_-]{0,24}"  # `secret_access_key`, `passwordHash`, `api-keys`
_KEYS = tuple(
    (literal, re.compile(key + _TAIL))
    for literal, key in (
        ("token", r"tokens?(?![a-z_\-/.)])"),  # nothing more: `token_ids`, `token-num`, `tokenizer` are no secrets
        ("secret", r"secret" + _MORE),
        ("passw", r"passw(?:or)?d" + _MORE),
        ("passphrase", r"passphrase"),
        ("credential", r"credential" + _MORE),
        ("authorization", r"authorization"),
        ("api", r"api[-_]?key" + _MORE),
        ("access", r"access[-_]?key" + _MORE),
        ("private", r"private[-_]?key" + _MORE),
        ("signature=", r"signature(?==)"),  # of a signed URL
        ("sig=", r"sig(?<=[?&]sig)"),
    )
)
_LEFT = re.compile(r"[a-z0-9_.-]*\Z")  # what stands before the word in the same name
# The last word before `token` by which it is a token of a language model, and the one before `tokens` by which it is not.
_MODEL_TOKENS = frozenset(
    "bos eos pad unk sep cls mask image video audio special start stop end next last first new max min num total draft prefill decode "
    "prompt input output generated sampled per think thinking reasoning tool call eot eom bot boi eoi vision speech mm placeholder "
    "additional added accepted bonus target current prev previous cached kv".split()
)
_SECRET_TOKENS = frozenset("access api auth bearer hf refresh secret session security".split())
_PLAIN = re.compile(r"(?i)<secret>\n*|\*+|\.{3}|none|null|nil|true|false|str|string|int|bool|optional\[str|\[?redacted\]?")
_NUMBER = re.compile(r"[-+]?\d[\d.,%]{0,9}|<[^<>]{1,40}>|\[[A-Z_]{2,20}\]?")  # a count or an id, or a special token of a vocabulary
_OPEN = re.compile(
    rf"(?P<list>[\[(]|[A-Za-z]\w{{0,23}}\()?[bfruBFRU]{{0,2}}(?P<quote>{_QUOTE})(?![,:;)}}\]](?:[\s\"'{{\[(,}}\])]|\Z)|[\r\n]|\Z)"
)
_NEXT = re.compile(rf"{_QUOTE}[ \t]{{0,3}},[ \t]{{0,3}}[bfruBFRU]{{0,2}}(?P<quote>{_QUOTE})")
_NO_VALUE = re.compile(rf"-|[^\"'\\\n]{{0,64}}{_QUOTE}[ \t]{{0,3}}:")  # the next option, or the next key of a dict
_BARE = re.compile(r"(?![\[{(])(?:[^\s\0\"'&\\]|&(?![\w.-]{1,64}=)|\\(?!\\{0,7}[\"'])[^\s\0nrt])+")
_ANY_QUOTE = re.compile(r"(?<!\\)\\*[\"']")
_SCHEME = re.compile(r"(?:bearer|basic|digest|token|apikey|negotiate)[ \t]{1,4}")
_BEARER = re.compile(r"(?:\b|(?<=\\[nrt]))bearer[ \t]{1,4}(?!tokens?\b|auth|scheme|realm|credential|key\b|is\b|or\b)(?P<value>[\w.~+/=-]+)")
_USERINFO = re.compile(r"://[^\s/@:\"'<>\0]{0,128}:(?P<value>[^\s/\"'\0]{1,256})@")
# The literal comes first because `re` then jumps from one to the next.
_SHAPES = tuple(
    (literal, re.compile(rf"{literal}(?:(?<![0-9A-Za-z]{literal})|(?<=\\[nrt]{literal})){rest}"))
    for literal, rest in (
        ("hf_", r"(?:(?=[a-z]{0,40}[A-Z0-9])[A-Za-z0-9]{8,}|[A-Za-z0-9]{20,})"),
        ("sk-", r"(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{12,}"),
        *((f"gh{letter}_", r"[A-Za-z0-9]{12,}") for letter in "pousr"),
        ("github_pat_", r"\w{12,}"),
        ("glpat-", r"[\w-]{8,}"),
        ("nvapi-", r"[\w-]{16,}"),
        ("AKIA", r"[0-9A-Z]{12,}"),
        ("ASIA", r"[0-9A-Z]{12,}"),
        *((f"xox{letter}-", r"[\w-]{8,}") for letter in "abeoprs"),
        ("AIza", r"[\w-]{20,}"),
        ("eyJ", r"(?<![-_]eyJ)[\w-]{6,}\.[\w-]{4,}\.[\w-]*"),
    )
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY")
_PEM_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_PEM_LONGEST = 20_000
_LONGEST_ENTRY = 8192  # of an environment; a NUL further behind in a log ends nothing
_PEM_LINES = re.compile(
    r"-{0,5}(?:(?:\\[rn]|[ \t\r\n]){1,40}[A-Za-z0-9+/=]{40,100})*(?:(?:\\[rn]|[\r\n]){1,4}[A-Za-z0-9+/=]{1,80}(?=[\r\n\"'\\]|\Z))?"
)

_PROMPTS = tuple(
    (literal, re.compile(rf"{literal}(?:(?<![a-z]{literal})|(?<=\\[nrt]{literal}))s?(?P<close>{_QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}"))
    for literal in ("prompt", "content", "text")
)
_IDS = re.compile(rf"_ids(?:{_QUOTE})?[ \t]{{0,3}}[:=][ \t]{{0,3}}(?:(?:tensor|array)\()?\[(?P<value>[-0-9., \t\[\]]*)")
_ID_LISTS = ("prompt", "prompt_token", "input", "input_token", "output")
_PROMPT_DONE = re.compile(r"<prompt of \d+ characters>")

_GENERIC = frozenset(  # words of the formats and of our own: as names they say nothing, and replacing them would break what is read
    "root localhost localdomain host hosts hostname node nodes user users worker workers master head server client main local remote "
    "none null unknown default nobody daemon admin ubuntu debian centos ec2-user git test data work workspace app home shared public "
    "python python3 ray vllm sglang lmdeploy turbomind torch torchrun pytorch nccl cuda nvidia gloo mpi mpirun slurm triton docker "
    "container pod kernel info warn warning error debug trace rank pid tid process thread idle active comm group device gpu cpu eth0 "
    "ib0 bond0 secret prompt of characters a10 a30 a40 a100 a800 h20 h100 h200 h800 b200 b300 gb200 gb300 l20 l40 l40s v100".split()
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
_OURS = re.compile(r"(?:host|user)-\d{1,6}")
_ESCAPE = re.compile(r"\A(?:u[0-9a-fA-F]{4}|[bfnrt])")  # behind a backslash: a string of JSON or Python, of which this is no letter
_WORD = re.compile(r"(?:(?<=\\)(?:u[0-9a-f]{4}|[bfnrt]))?([a-z0-9]+)")
_RUN = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+){0,12}")
_TOLD = (  # where formats name hosts: RAS, rendezvous, environments, syslog, hosts named by their address
    ("on node ", r"[Pp]rocess \d{1,10} on node ([\w.-]{3,253})"),
    ("MASTER_ADDR", r"MASTER_ADDR[=:] ?['\"]?([\w.-]{3,253})"),
    ("-addr", r"--(?:master|dist-init|node)-addr[= \0]([\w.-]{3,253})"),
    ("_addr", r"--master_addr[= \0]([\w.-]{3,253})"),
    ("rdzv", r"--?rdzv[-_]endpoint[= \0]([\w.-]{3,253})"),
    ("tcp://", r"tcp://([\w.-]{3,253})"),
    ("HOST", r"(?:HOSTNAME|SUBMIT_HOST)=([\w.-]{3,253})"),
    ("NODE", r"(?:NODENAME|NODELIST|TOPOLOGY_ADDR)=([\w.-]{3,253})(?![\w.,\[-])"),
    (":", r"(?m)^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.-]{3,253}) [\w.@-]{1,64}(?:\[\d{1,10}\])?: "),
    ("ip-", r"(?<![\w.-])(ip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?![\w-])"),
)
_TELLING = tuple((literal, re.compile(pattern)) for literal, pattern in _TOLD)
_NCCL = re.compile(r":[0-9]{1,10}:[0-9]{1,10} (?=[^\n]{0,80}?NCCL (?:INFO|WARN|TRACE))")
_NAME_BACKWARDS = re.compile(r"[\w.-]{3,253}")
_NODELIST = re.compile(r"NODELIST=(?P<value>[\w.-]{1,64}[\[,][\w.,\[\]-]{1,4000})")
_HOME = re.compile(r"(?:/home/|/Users/)(?P<value>\w(?:[\w.-]{0,62}\w)?)")
_AT_HINT = re.compile("@")
_USER_IS = re.compile(r"=(?:(?<=(?<![A-Za-z])USER=)|(?<=LOGNAME=)|(?<=USERNAME=))(?P<value>[A-Za-z_][\w.-]{0,62}\w)")
_AT = re.compile(r"(?<![\w.@-])(?P<value>[A-Za-z_][\w.-]{0,63})(?::<secret>)?@(?P<host>[A-Za-z0-9][\w.-]{0,252})")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}(?!service|socket|timer|mount|scope|slice|target|so\b|py\b)[a-z]{2,24}")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:(?<![0-9A-Za-z])(?<![0-9A-Za-z]\.)|(?<=\\[nrt]))(?:{_BYTE}\.){{3}}{_BYTE}(?![0-9A-Za-z]|\.[0-9])")
_IPV4_HINT = re.compile(r"\.(?<=[0-9]\.)(?=[0-9]{1,3}\.[0-9]{1,3}(?![0-9]))")
_IPV6_HINT = re.compile(r":(?::|(?:[0-9A-Fa-f]{1,4}:){4})")
_IPV6 = re.compile(r"(?:(?<![0-9A-Za-z.])(?<!::)|(?<=\\[nrt]))(?:[0-9A-Fa-f]{1,4}(?=:)|(?=::))[0-9A-Fa-f:]{2,38}(?![0-9A-Za-z]|\.\d)")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_VERSION_BEFORE = re.compile(r"(?i)(?:version|driver|release|firmware|build|cudnn|cublas|tensorrt|cu\d\d|[=~<>!]=)[ :=\"'-]{0,3}\Z")
_VERSION_BEHIND = re.compile(r"\.dist-info|-(?:cp|py)\d|\+cu|\.whl")
_INTERFACE = re.compile(r"(?<![\w.-])(?=[0-9a-f]{0,15}[g-z])[a-z][\w.-]{0,15}:\Z")
_KEPT_IPV4 = re.compile(r"127\.|0\.0\.0\.0$|255\.|198\.1[89]\.")  # loopback, any, netmasks, and our own
_KEPT_IPV6 = re.compile(r"::1?$|2001:db8::[0-9a-f]{1,4}$|fe80::[0-9a-f]{1,4}$")
_KEPT_MAC = re.compile(r"00:00:00:00:00:00|ff:ff:ff:ff:ff:ff|02:00:00:00:..:..")


def keep_setting(name: str) -> bool:
    """Whether an environment variable is worth keeping: it matters for a hang, and does not sound like a secret."""
    return bool(SETTINGS.match(name)) and not _SECRET.search(name)


class Redactor:
    """Replaces secrets, and with `names` host names, addresses, users and prompts, too.

    It never raises. Its result, read again, stays as it is; a name in the shape of a pseudonym is taken for one and stays.
    """

    def __init__(self, *, names: bool = False) -> None:
        self._names = names
        self._counts: Counter[str] = Counter()
        self._table: dict[tuple[Kind, str], tuple[str, str, str]] = {}
        self._given: dict[tuple[Kind, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._words: dict[str, tuple[Kind, str]] = {}  # names that are replaced wherever they stand, in lower case
        self._firsts: set[str] = set()  # the first word of each
        self._domains: dict[str, None] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many replacements of each kind were done so far; a kind that did not occur is left out."""
        return dict(self._counts)

    @property
    def table(self) -> Sequence[tuple[str, str, str]]:
        """Kind, original and pseudonym of each name that was replaced. Secrets and prompts are never in it."""
        return tuple(self._table.values())

    def learn(self, hosts: Iterable[str] = (), users: Iterable[str] = ()) -> None:
        """Take names that are known from elsewhere; they are replaced wherever they stand as whole words, in either case.

        A host's short name stands for the same host as its full one. Not taken, because replacing them would damage more than it
        hides: names of fewer than three characters, numbers and addresses, words of the formats and common accounts (`localhost`,
        `worker`, `root`, `ray`), and what is not of ASCII letters, digits, `.`, `_` and `-`. Without `names` this does nothing.
        """
        if not self._names:
            return
        for host in hosts if isinstance(hosts, Sequence) else sorted(hosts):
            self._learn_host(host.strip().rstrip(".").lower())
        for user in users if isinstance(users, Sequence) else sorted(users):
            name = user.strip().lower()
            if _telling(name):
                self._add(name, "user", self._pseudonym("user", name))

    def study(self, text: str) -> None:
        """Learn the hosts that a text names (NCCL's prefix, RAS, rendezvous addresses, syslog) without changing it.

        `text` does this of itself; ahead of it, also the texts before the one that names a host are spared of it.
        """
        if not self._names:
            return
        found = dict.fromkeys(_nccl_hosts(text) if "NCCL " in text else ())
        found.update(dict.fromkeys(name for literal, pattern in _TELLING if literal in text for name in pattern.findall(text)))
        self.learn(list(found))
        for domain in list(self._domains):
            if domain in text:
                self.learn(list(dict.fromkeys(re.findall(rf"(?<![\w.-])[\w-]{{1,63}}\.{re.escape(domain)}(?![\w-])", text))))

    def text(self, text: str) -> str:
        """The text without what must not leave; it has as many lines as before."""
        for _ in range(_ROUNDS):
            before, text = text, self._once(text)
            if text == before:
                break
        return text

    def bytes(self, data: bytes) -> bytes:
        """The same for bytes; those that are no UTF-8 stay as they are."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _once(self, text: str) -> str:
        text = self._changed(text, _secrets(text, _lower(text)))
        if not self._names:
            return text
        self.study(text)
        text = self._changed(text, sorted(_prompts(text, _lower(text))))
        return self._changed(text, sorted([*self._known(_lower(text)), *self._users(text), *self._addresses(text)]))

    def _changed(self, text: str, changes: Sequence[_Change]) -> str:
        """Apply changes in their order; one that overlaps the one before it waits for the next round."""
        parts, at = [], 0
        for start, end, kind, new in changes:
            if start >= at:
                parts += [text[at:start], new]
                at = end
                self._note(kind, text[start:end], new)
        return "".join([*parts, text[at:]]) if parts else text

    def _note(self, kind: Kind, old: str, new: str) -> None:
        self._counts[kind] += 1
        if kind not in ("secret", "prompt") and len(self._table) < 3 * MOST_NAMES:
            self._table.setdefault((kind, old.lower()), (kind, old, new))

    def _learn_host(self, name: str) -> None:
        if not _telling(name, whole=True):
            return
        short, _, domain = name.partition(".")
        alone = _telling(short)
        pseudonym = self._pseudonym("host", short if alone else name)
        self._add(name, "host", pseudonym)
        if alone:
            self._add(short, "host", pseudonym)
        if "." in domain and len(self._domains) < 16:
            self._domains.setdefault(domain)

    def _add(self, name: str, kind: Kind, pseudonym: str) -> None:
        if len(self._words) < 2 * MOST_NAMES and not _OURS.fullmatch(name):
            self._words.setdefault(name, (kind, pseudonym))
            self._firsts.update(re.findall(r"\A[a-z0-9]+", name))

    def _pseudonym(self, kind: Kind, key: str, form: str = "") -> str:
        """The one of this name, a new one at its first time; `form` says which kind of address it is."""
        if _OURS.fullmatch(key):
            self._taken.add(key)
            return key
        given = self._given.get((kind, key))
        while not given:
            number = self._numbers[form or kind] = min(self._numbers[form or kind] + 1, MOST_NAMES)
            new = _numbered(form or kind, number)
            if new in self._taken and number < MOST_NAMES:
                continue
            given = new
            self._taken.add(given)
            if number < MOST_NAMES:
                self._given[kind, key] = given
        return given

    def _known(self, low: str) -> Iterator[_Change]:
        """Whole words that are names which were learned; of two that begin at one place the longer one."""
        for start in self._beginnings(low):
            run = _RUN.match(low, start)
            name = run[0] if run else ""
            while name and name not in self._words:
                name = name[: max(map(name.rfind, "._-"), default=0)] if any(sign in name for sign in "._-") else ""
            if name:
                kind, new = self._words[name]
                yield start, start + len(name), kind, new

    def _beginnings(self, low: str) -> list[int]:
        """Where the first word of a name stands: a few words are searched for, of many each word of the text is looked up."""
        if len(self._firsts) > 200:
            return [found.start(1) for found in _WORD.finditer(low) if found[1] in self._firsts]
        there = [first for first in self._firsts if first in low]
        patterns = (rf"{f}(?:(?<![a-z0-9]{f})(?<!\\{f})|(?<=\\[bfnrt]{f})|(?<=\\u[0-9a-f]{{4}}{f}))(?![a-z0-9])" for f in there)
        return sorted(found.start() for pattern in patterns for found in re.finditer(pattern, low))

    def _users(self, text: str) -> Iterator[_Change]:
        """Users by where they stand, and only there: a directory in /home may be called like any word."""
        named = [*_HOME.finditer(text), *_USER_IS.finditer(text)]
        named += [found for found in _in_lines(_AT_HINT, _AT, text) if self._is_host(found["host"])]
        for found in named:
            name = found["value"].lower()
            if name not in _GENERIC and len(name) > 1 and not _OURS.fullmatch(name):
                yield *found.span("value"), "user", self._pseudonym("user", name)
        for found in _NODELIST.finditer(text) if "NODELIST=" in text else ():
            yield *found.span("value"), "host", self._pseudonym("host", found["value"].lower())

    def _is_host(self, name: str) -> bool:
        low = name.lower().rstrip(".")
        return low in self._words or low == "localhost" or any(p.fullmatch(low) for p in (_OURS, _IPV4, _DOMAIN))

    def _addresses(self, text: str) -> Iterator[_Change]:
        for found in _in_lines(_IPV4_HINT, _IPV4, text):
            if new := self._ipv4(found):
                yield *found.span(), "address", new
        for found in _in_lines(_IPV6_HINT, _IPV6, text):
            old = found[0] if found[0].endswith("::") else found[0].rstrip(":")
            if new := self._ipv6(old, text, found.start()):
                yield found.start(), found.start() + len(old), "address", new

    def _ipv4(self, found: re.Match[str]) -> str:
        """Its pseudonym, or nothing for a version and for what means something by itself."""
        if _KEPT_IPV4.match(found[0]):
            self._taken.update([found[0]] if found[0].startswith("198.") else [])
            return ""
        before = found.string[max(0, found.start() - 20) : found.start()]
        version = _VERSION_BEFORE.search(before) or _VERSION_BEHIND.match(found.string, found.end())
        return "" if version else self._pseudonym("address", found[0], "ipv4")

    def _ipv6(self, old: str, text: str, at: int) -> str:
        """Its pseudonym, or nothing for a time, a PCI id, a name of C++ and for what means something by itself."""
        if _MAC.fullmatch(old):
            kept = _KEPT_MAC.fullmatch(old.lower()) or text[max(0, at - 1) : at] == ":"
            return "" if kept else self._pseudonym("address", old.lower(), "mac")
        if "::" not in old and old.count(":") != 7:
            return ""
        if text[max(0, at - 1) : at] == ":" and not _INTERFACE.search(text[max(0, at - 17) : at].lower()):
            return ""
        if not ((len(old.partition(":")[0]) == 4 or old.count(":") > 2) and any(map(str.isdigit, old))):
            return ""
        try:
            key = str(IPv6Address(old))
        except AddressValueError:
            return ""
        if _KEPT_IPV6.match(key):
            self._taken.add(key)
            return ""
        return self._pseudonym("address", key, "fe80" if key.startswith("fe8") else "ipv6")


def redact_value(value: object, redactor: Redactor) -> object:
    """The value with every string in its dicts, lists and tuples redacted; keys stay, and tell which values are secrets."""
    redactor.study("\n".join(_strings(value)))
    return _redacted(value, redactor)


def _redacted(value: object, redactor: Redactor) -> object:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, dict):
        return {key: _entry(key, inner, redactor) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_redacted(inner, redactor) for inner in value])
    return value


def _entry(key: object, value: object, redactor: Redactor) -> object:
    """A value that is secret by its key is read as an environment would have it."""
    if not isinstance(key, str) or not isinstance(value, str) or "\0" in value:
        return _redacted(value, redactor)
    start = f"{key}="
    whole = redactor.text(f"{start}{value}\0")
    return whole[len(start) : -1] if whole.startswith(start) else redactor.text(value)


def _nccl_hosts(text: str) -> Iterator[str]:
    for found in _NCCL.finditer(text):
        name = _NAME_BACKWARDS.match(text[max(0, found.start() - 254) : found.start()][::-1])
        if name:
            whole, before = name[0][::-1], text[max(0, found.start() - len(name[0]) - 1)]
            yield _ESCAPE.sub("", whole) if before == "\\" else whole


def _in_lines(hint: re.Pattern[str], pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Where `pattern` matches, in the lines that `hint` finds: it begins with a literal and so is many times as fast."""
    done = 0
    for found in hint.finditer(text):
        if found.start() >= done:
            start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
            done = len(text) if end < 0 else end
            yield from pattern.finditer(text, start, done)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _lower(text: str) -> str:
    """In lower case, character for character: this one alone would become two."""
    return text.replace("İ", "I").lower()


def _telling(name: str, *, whole: bool = False) -> bool:
    """Whether a name tells something; `whole`: it may be a full name of which the first word alone would not."""
    short = name.partition(".")[0]
    plain = len(name) < 3 or name in _GENERIC or (name if whole else short).replace(".", "").isdigit()
    return bool(_NAME.fullmatch(name)) and not plain and short != "localhost"


def _numbered(form: str, number: int) -> str:
    forms = {"ipv4": f"198.18.{number >> 8}.{number & 255}", "ipv6": f"2001:db8::{number:x}", "fe80": f"fe80::{number:x}"}
    return forms.get(form) or (f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}" if form == "mac" else f"{form}-{number}")


def _secrets(text: str, low: str) -> list[_Change]:
    """All secrets; those that overlap are one, which takes as many lines as they did."""
    merged: list[tuple[int, int, str]] = []
    for start, end, quote in sorted([*_keyed(text, low), *_shaped(text, low)]):
        if merged and start < merged[-1][1]:
            first, last, kept = merged[-1]
            merged[-1] = (first, max(last, end), kept)
        else:
            merged.append((start, end, quote))
    return [(start, end, "secret", f"{quote}{HIDDEN}{quote}" + "\n" * text.count("\n", start, end)) for start, end, quote in merged]


def _shaped(text: str, low: str) -> Iterator[tuple[int, int, str]]:
    """What is a secret by its own looks."""
    spans = [found.span() for literal, pattern in _SHAPES if literal in text for found in pattern.finditer(text)]
    spans += [found.span("value") for found in _BEARER.finditer(low)] if "bearer" in low else []
    spans += [m.span("value") for m in _USERINFO.finditer(text) if m["value"] != HIDDEN] if "://" in text else []
    spans += _private_keys(text) if "PRIVATE KEY" in text else []
    yield from ((start, end, "") for start, end in spans)


def _private_keys(text: str) -> Iterator[Span]:
    """Blocks of PEM (RFC 7468); of one without an end the lines that look like it."""
    ends = [found.end() for found in _PEM_END.finditer(text)]
    done = 0
    for begin in _PEM.finditer(text):
        which = bisect(ends, begin.start())
        end = ends[which] if which < len(ends) else len(text) + _PEM_LONGEST
        if begin.start() < done:
            continue
        if end - begin.start() > _PEM_LONGEST or _ANY_QUOTE.search(text, begin.end(), end):  # the end of another, or of none
            lines = _PEM_LINES.match(text, begin.end())
            end = lines.end() if lines else begin.end()
        done = end
        yield begin.start(), end


def _keyed(text: str, low: str) -> Iterator[tuple[int, int, str]]:
    """Values that are secrets by what stands before them: assignments, headers, options, environments, JSON and Python's repr."""
    for literal, pattern in _KEYS:
        done = 0
        for found in pattern.finditer(low) if literal in low else ():
            left = _LEFT.search(low, max(0, found.start() - 64), found.start())
            name = _ESCAPE.sub("", left[0]) if left and low[left.start() - 1 : left.start()] == "\\" else left[0] if left else ""
            if found.start() < done or not _sounds_secret(found, name):
                continue
            token = literal == "token"
            for start, end in _values(text, low, found, found.start() - len(name)):
                done = end
                plain = _PLAIN.fullmatch(text, start, end) or (token and _NUMBER.fullmatch(text, start, end))
                if start < end and not plain:
                    quoted = text[start - 1] in "\"'"
                    yield start, end, "" if quoted or found["flag"] else found["close"] or ""


def _sounds_secret(found: re.Match[str], left: str) -> bool:
    """Whether the word, with what stands before it in its name, is the name of a secret; an option that a blank ends begins with dashes."""
    if found["flag"] and not left.startswith("--"):
        return False
    before = found.string[found.start() - len(left) - 1 : found.start() - len(left)]
    if before == "/" and found["close"] is None and ":" in found[0]:
        return False  # `/etc/passwd: permission denied`
    last = re.split(r"[_.-]", left.rstrip("_.-"))[-1]
    if found[0].startswith("tokens"):
        return last in _SECRET_TOKENS
    return not (found[0].startswith("token") and last in _MODEL_TOKENS)


def _values(text: str, low: str, found: re.Match[str], begin: int) -> Iterator[Span]:
    """The values behind a name that begins at `begin`: a string, several in a list, an entry that NUL ends, a word."""
    option = bool(found["flag"])
    many = option and found[0].startswith("api")  # servers take several keys: `--api-keys a b`
    entry = begin == 0 or text[begin - 1] == "\0"
    equals = found.string.find("=", found.start(), found.end()) + 1 if entry else 0
    end = text.find("\0", found.end(), found.end() + _LONGEST_ENTRY) if equals else -1
    if found["flag"] == "\0":
        yield from _arguments(text, found.end(), many=many)
    elif end >= 0:
        yield equals, end
    elif opened := _OPEN.match(text, found.end()):
        if not (option and _NO_VALUE.match(text, opened.end())):
            yield from _strings_in(text, opened, many=many or bool(opened["list"]))
    else:
        scheme = _SCHEME.match(low, found.end())
        yield from _words(text, scheme.end() if scheme else found.end(), option=option, many=many)


def _arguments(text: str, at: int, *, many: bool) -> Iterator[Span]:
    """What follows an option in a command line of /proc, up to the next option."""
    while at < len(text) and text[at] != "-":
        end = text.find("\0", at)
        end = len(text) if end < 0 else end
        yield at, end
        at = end + 1 if many else len(text)


def _words(text: str, at: int, *, option: bool, many: bool) -> Iterator[Span]:
    """Words up to a blank; the brackets and stops behind a word are not of it."""
    bare = None if option and text[at : at + 1] == "-" else _BARE.match(text, at)
    while bare and not (option and bare[0][0] == "-"):
        yield bare.start(), bare.start() + len(bare[0].rstrip(",;)]}."))
        bare = _BARE.match(text, bare.end() + 1) if many and text[bare.end() : bare.end() + 1] == " " else None


def _strings_in(text: str, opened: re.Match[str], *, many: bool, rest: bool = False) -> Iterator[Span]:
    """What stands between the quotes; with `many` also in the strings that follow behind commas.

    A string that its line does not end was cut off, and is taken to the end of the line with `rest`. Otherwise its quote may be an
    apostrophe, and what it stands in shall stay whole: then it is taken to the next quote.
    """
    found: re.Match[str] | None = opened
    while found:
        end, closed = _string_end(text, found.end(), found["quote"])
        other = None if closed or rest else _ANY_QUOTE.search(text, found.end(), end)
        yield found.end(), other.start() if other else end
        found = _NEXT.match(text, end) if many and closed else None
        found = None if found and _NO_VALUE.match(text, found.end()) else found


def _string_end(text: str, at: int, quote: str) -> tuple[int, bool]:
    """Where a string ends that was opened by `quote`, and whether a quote ends it, or the line.

    The string is written in as many others as its quote has backslashes for (0, 1, 3); then a quote of its own has twice as many
    and one more.
    """
    depth = len(quote) - 1
    for found in re.compile(rf"(?<!\\)\\*[{quote[-1]}\n]").finditer(text, at):
        slashes = found.end() - found.start() - 1
        if text[found.end() - 1] == "\n":
            end = found.end() - 1
            return (end - 1 if end > at and text[end - 1] == "\r" else end), False
        if slashes % (2 * depth + 2) == depth:
            return found.end() - 1 - depth, True
        if slashes < depth:
            return found.start(), False
    return len(text), False


def _prompts(text: str, low: str) -> Iterator[_Change]:
    """What users asked, as vLLM, SGLang, LMDeploy and OpenAI's protocol write it: strings and lists of token ids."""
    for literal, pattern in _PROMPTS:
        done = 0
        for found in pattern.finditer(low) if literal in low else ():
            opened = _OPEN.match(text, found.end()) if found.start() >= done else None
            ours = literal != "text" or found["close"] or "ReqInput(" in text[max(0, found.start() - 1000) : found.start()]
            for start, end in _strings_in(text, opened, many=bool(opened["list"]), rest=True) if opened and ours else ():
                done = end
                if start < end and not _PROMPT_DONE.fullmatch(text, start, end):
                    yield start, end, "prompt", f"<prompt of {end - start} characters>"
    for found in _IDS.finditer(low) if "_ids" in low else ():
        if low.endswith(_ID_LISTS, max(0, found.start() - 16), found.start()):
            start, ids = found.start("value"), found["value"]
            size = ids.rfind("]") if "]" in ids else len(ids)
            if ids[:size].strip():
                yield start, start + size, "prompt", f"<prompt of {size} characters>"
