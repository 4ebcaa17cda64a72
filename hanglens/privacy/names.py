r"""Where names stand in a text: of hosts, which formats tell, of users, by where they stand, and addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv6Address

from hanglens.privacy.plain import Span
from hanglens.privacy.values import ESCAPE

GENERIC = frozenset(  # words of the formats and of our own: as names they say nothing, and replacing them would break what is read
    "root localhost localdomain host hosts hostname node nodes user users worker workers master head server client main local remote "
    "none null unknown default nobody daemon admin ubuntu debian centos ec2-user git test data work workspace app home shared public "
    "python python3 ray vllm sglang lmdeploy turbomind torch torchrun pytorch nccl cuda nvidia gloo mpi mpirun slurm triton docker "
    "container pod kernel info warn warning error debug trace rank pid tid process thread idle active comm group device gpu cpu eth0 "
    "ib0 bond0 secret prompt of characters a10 a30 a40 a100 a800 h20 h100 h200 h800 b200 b300 gb200 gb300 l20 l40 l40s v100".split()
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
OURS = re.compile(r"(?:host|user|serial)-\d{1,6}")
WORD = re.compile(r"(?:(?<=\\)(?:u[0-9a-f]{4}|[bfnrt]))?([a-z0-9]+)")
RUN = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+){0,12}")
_TOLD = (  # where formats name hosts: RAS, rendezvous, environments, syslog, hosts named by their address
    ("on node ", r"[Pp]rocess \d{1,10} on node ([\w.-]{3,253})"),
    ("MASTER_ADDR", r"MASTER_ADDR[=:] ?['\"]?([\w.-]{3,253})"),
    ("-addr", r"--(?:master|dist-init|node)-addr[= \0]([\w.-]{3,253})"),
    ("_addr", r"--master_addr[= \0]([\w.-]{3,253})"),
    ("rdzv", r"--?rdzv[-_]endpoint[= \0]([\w.-]{3,253})"),
    ("tcp://", r"tcp://([\w.-]{3,253})"),
    ("HOST", r"(?:HOSTNAME|SUBMIT_HOST)=([\w.-]{3,253})"),
    ("NODE", r"(?:NODENAME|NODELIST|TOPOLOGY_ADDR)=([\w.-]{3,253})(?![\w.,\[-])"),
    ("ip=", r"ip=(?<=[( ]ip=)([\w.-]{3,253})\)"),
    ('"host', r"\"host(?:name)?\": ?\"([\w.-]{3,253})\""),
    (":", r"(?m)^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.-]{3,253}) [\w.@-]{1,64}(?:\[\d{1,10}\])?: "),
    ("ip-", r"(?<![\w.-])(ip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?![\w-])"),
)
_TELLING = tuple((literal, re.compile(pattern)) for literal, pattern in _TOLD)
_NCCL = re.compile(r":[0-9]{1,10}:[0-9]{1,10} (?=[^\n]{0,80}?NCCL (?:INFO|WARN|TRACE))")
_NAME_BACKWARDS = re.compile(r"[\w.-]{3,253}")
_NODELIST = re.compile(r"NODELIST=(?P<value>[\w.-]{1,64}[\[,][\w.,\[\]-]{1,4000})")
_HOME = re.compile(r"(?:/(?:home|[Uu]sers)/|\\Users\\{1,4})(?P<value>\w(?:[\w.-]{0,62}\w)?)")
_USER_OF = re.compile(r"(?:(?:uid=\d{1,10}\(|for user |sudo -u |runuser -u |su - ))(?P<value>[A-Za-z_][\w.-]{0,62}\w)")
_GPU = re.compile(r"(?:GPU|MIG)-(?P<value>(?!00000000-)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
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
_VERSION_BEFORE = re.compile(
    r"(?i)(?:version|driver|release|firmware|build|cudnn|cublas|tensorrt|cuda|torch|nccl|cu\d\d|[=~<>!]=)[ :=\"'-]{0,3}\Z"
)
_VERSION_BEHIND = re.compile(r"\.dist-info|-(?:cp|py)\d|\+cu|\.whl")
_INTERFACE = re.compile(r"(?<![\w.-])(?=[0-9a-f]{0,15}[g-z])[a-z][\w.-]{0,15}:\Z")
_KEPT_IPV4 = re.compile(r"127\.|0\.0\.0\.0$|255\.|198\.1[89]\.")  # loopback, any, netmasks, and our own
_KEPT_IPV6 = re.compile(r"::1?$|2001:db8::[0-9a-f]{1,4}$|fe80::[0-9a-f]{1,4}$")
_SERIAL = re.compile(r"serial (?:number|no\.?|#)[ \t]{0,40}[:=][ \t]{0,8}(?P<value>(?=[a-z-]{0,20}[0-9])[a-z0-9-]{6,40})")
_KEPT_MAC = re.compile(r"00:00:00:00:00:00|ff:ff:ff:ff:ff:ff|02:00:00:00:..:..")


def _nccl_hosts(text: str) -> Iterator[str]:
    for found in _NCCL.finditer(text):
        name = _NAME_BACKWARDS.match(text[max(0, found.start() - 254) : found.start()][::-1])
        if name:
            whole, before = name[0][::-1], text[max(0, found.start() - len(name[0]) - 1)]
            yield ESCAPE.sub("", whole) if before == "\\" else whole


def _in_lines(hint: re.Pattern[str], pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Where `pattern` matches, in the lines that `hint` finds: it begins with a literal and so is many times as fast."""
    done = 0
    for found in hint.finditer(text):
        if found.start() >= done:
            start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
            done = len(text) if end < 0 else end
            yield from pattern.finditer(text, start, done)


def telling(name: str, *, whole: bool = False) -> bool:
    """Whether a name tells something; `whole`: it may be a full name of which the first word alone would not."""
    short = name.partition(".")[0]
    plain = len(name) < 3 or name in GENERIC or (name if whole else short).replace(".", "").isdigit()
    return bool(_NAME.fullmatch(name)) and not plain and short != "localhost"


def hosts_told(text: str) -> list[str]:
    """The hosts that a text names where formats do: NCCL's prefix, RAS, rendezvous addresses, syslog."""
    found = dict.fromkeys(_nccl_hosts(text) if "NCCL " in text else ())
    found.update(dict.fromkeys(name for literal, pattern in _TELLING if literal in text for name in pattern.findall(text)))
    return list(found)


def hosts_of(domain: str, text: str) -> list[str]:
    """The hosts of a domain that a text names."""
    names = re.findall(rf"(?<![\w.-])[\w-]{{1,63}}\.{re.escape(domain)}(?![\w-])", text) if domain in text else ()
    return list(dict.fromkeys(names))


def node_lists(text: str) -> Iterator[re.Match[str]]:
    """Slurm's lists of hosts, each in the group `value`."""
    return iter(_NODELIST.finditer(text) if "NODELIST=" in text else ())


def gpus(text: str) -> Iterator[re.Match[str]]:
    """The UUIDs of GPUs, each in the group `value`."""
    return iter(_GPU.finditer(text) if "GPU-" in text or "MIG-" in text else ())


def serials(low: str) -> Iterator[re.Match[str]]:
    """Serial numbers of devices in a text in lower case, each in the group `value`."""
    return (found for found in _SERIAL.finditer(low) if not OURS.fullmatch(found["value"])) if "serial" in low else iter(())


def users(text: str, is_host: Callable[[str], bool]) -> Iterator[re.Match[str]]:
    """Users by where they stand, each in the group `value`, and only there: a directory in /home may be called like any word."""
    named = [*_HOME.finditer(text), *_USER_IS.finditer(text), *_USER_OF.finditer(text)]
    named += [found for found in _in_lines(_AT_HINT, _AT, text) if is_host(found["host"])]
    for found in named:
        name = found["value"].lower()
        if name not in GENERIC and len(name) > 1 and not OURS.fullmatch(name):
            yield found


def looks_like_host(name: str) -> bool:
    """Whether a name can be nothing but a host's."""
    return name == "localhost" or any(pattern.fullmatch(name) for pattern in (OURS, _IPV4, _DOMAIN))


def addresses(text: str) -> Iterator[tuple[Span, str, str]]:
    """Each address, in one spelling, and its kind: ipv4, ipv6, fe80, mac; nothing for one of those that pseudonyms are made of."""
    for found in _in_lines(_IPV4_HINT, _IPV4, text):
        if not _KEPT_IPV4.match(found[0]) and not _version(found):
            yield found.span(), found[0], "ipv4"
        elif found[0].startswith("198."):
            yield found.span(), found[0], ""
    for found in _in_lines(_IPV6_HINT, _IPV6, text):
        old = found[0] if found[0].endswith("::") else found[0].rstrip(":")
        key, form = _mac(old, text, found.start()) if _MAC.fullmatch(old) else _ipv6(old, text, found.start())
        if key:
            yield (found.start(), found.start() + len(old)), key, form


def _version(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 20) : found.start()]
    return bool(_VERSION_BEFORE.search(before) or _VERSION_BEHIND.match(found.string, found.end()))


def _mac(old: str, text: str, at: int) -> tuple[str, str]:
    kept = _KEPT_MAC.fullmatch(old.lower()) or text[max(0, at - 1) : at] == ":"
    return ("", "") if kept else (old.lower(), "mac")


def _ipv6(old: str, text: str, at: int) -> tuple[str, str]:
    """Its usual spelling; nothing for a time, a PCI id, a name of C++ and for what means something by itself."""
    if "::" not in old and old.count(":") != 7:
        return "", ""
    if text[max(0, at - 1) : at] == ":" and not _INTERFACE.search(text[max(0, at - 17) : at].lower()):
        return "", ""
    if not ((len(old.partition(":")[0]) == 4 or old.count(":") > 2) and any(map(str.isdigit, old))):
        return "", ""
    try:
        key = str(IPv6Address(old))
    except AddressValueError:
        return "", ""
    return key, "" if _KEPT_IPV6.match(key) else "fe80" if key.startswith("fe8") else "ipv6"
