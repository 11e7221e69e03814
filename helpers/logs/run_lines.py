"""The lines that programs on the board print, by their shape.

The formats are those of the programs' sources (AXERA-TECH/ax-samples, axcl-runtime and pyaxengine), of
`ax_run_model`'s documentation (pulsar2-docs-en, other_tools), and of logs that users published.
"""

import re

from helpers.logs.command_line import read_command
from helpers.logs.log_text import Shape

NUMBER = r"-?\d{1,15}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,2})?"
_RAW = r"-?(?:\d[\d.eE+-]{0,40}|nan|inf)"
_INFO_KEY = (
    r"\[INFO\] (Available providers|Using provider|Chip type|SOC Name|VNPU type|Engine version|Model type"
    r"|Compiler version):"
)

FIELD = re.compile(
    r"(model file|image file|img_h, img_w|img height|img width|model|type|vnpu|affinity|repeat|warmup|batch"
    r"|parallel|pulsar2 ver|engine ver|axclrt ver|tool ver|cmm size) *: *(.{0,4096})"
)
INFO = re.compile(_INFO_KEY + r" *(.{0,400})")
REPEAT = re.compile(r"Repeat +(\d{1,15}) +times?\b")
REPEAT_TIME = re.compile(rf"\b(avg|max|min)[ _]time[ :]+({NUMBER}) *ms")
STATISTICS = re.compile(r"(?:min|5%) *= *\d")
STATISTIC = re.compile(rf"(min|max|avg|median|5%|90%|95%|99%) *= *({NUMBER}) *ms")
SCORE = re.compile(rf"({_RAW}), *(\d{{1,9}})$")
_WHOLE_SCORE = re.compile(
    r"-?\d{1,9}\.\d{4}, \d{1,9}$"
)  # as the samples print it; cut ones have fewer decimals
CLASS_INDEX = re.compile(rf"Class Index: *(\d{{1,9}}), *Score: *({_RAW})")
PERCENT = re.compile(
    rf"(?P<id>\d{{1,9}}): *(?P<score>{NUMBER})%, *"
    r"(?:\[(?P<box>[\d., +-]{1,400})\],? *|(?! *\[))(?P<name>.{0,200})"
)
DETECTIONS = re.compile(r"detection num: *(\d{1,9})")
RULE = re.compile(r"-{10,}$")
_STEP = re.compile(r"Engine (?:creating|get|alloc|push) .{1,40} is done\.|infer model, total \d{1,9}/\d{1,9}")

# Lines that begin a run; the groups are the families of programs that print them.
_HEAD = re.compile(
    r"(?P<sample>model file *: |axcl initializing)"
    r"|(?P<run_model>Run AxModel:|total found \{\d{1,9}\} input)"
    rf"|(?P<pyaxengine>{_INFO_KEY}|Top \d{{1,4}} Predictions:)"
)
HEAD_LETTERS = frozenset("maRt[T")
# What a program says that stops before it has printed its head.
STILLBORN = re.compile(
    r"\[ERROR\] (?:Model file \{|Init failed|Loading model \{)|Input .{1,450}, please check it"
)
# Lines that show a run whose head is not in the text.
_BODY = re.compile(
    r"Repeat +\d{1,15} +times?, *avg|min *= *\d.{1,40}max *= |topk cost time:|post process cost time:"
    r"|detection num:|Engine creating handle is done|\[ERROR\] .{0,40}(?:odel|Init failed)|\[Engine\]"
    r"|usage: (?:sample_npu_|ax_|axcl_)\w{1,80} |Input .{1,450}, please check it"
)
_BODY_LETTERS = frozenset("Rmtpd[EuI")

RAISED = re.compile(r"[A-Za-z_][\w.]{0,120}(?:Error|Exception|Interrupt|Exit)(?::|$)")
# Lines that make a run fail whatever follows; lines that explain a run without its timing; warnings.
FATAL = re.compile(
    r"\[ERROR\]|\b(?:Segmentation fault|Bus error|Aborted|Illegal instruction|Floating point exception)\b"
    r"|\bcore dumped\b|\bKilled\b|terminate called|^\^C|^Input .{1,450}, please check it"
    rf"|^{RAISED.pattern}"
)
COMPLAINT = re.compile(
    r"(?i)fail|\berror|not (?:exist|allowed|match|found|support)|no such file|denied|unsupported|only support"
    r"|need option|undefined (?:short )?option|option needs|\bcannot |can't |out of memory|\[e\]|what\(\):"
    r"|^usage: "
)
WARNING = re.compile(r"WARN,|\[WARN(?:ING)?\]|\[W\]|\w{1,60}Warning:|ERROR,Func\(__syslog_parma_cfg_get\)")


def head_family(text: str) -> str | None:
    """The family of programs that begins a run with this line, None if none does. The line comes stripped."""
    if text[:1] not in HEAD_LETTERS:
        return None
    found = _HEAD.match(text)
    if not found:
        return None
    return next(family for family in ("sample", "run_model", "pyaxengine") if found[family])


def head_key(text: str) -> str:
    """What kind of head a line is: two of a kind cannot belong to one run."""
    return re.split(r"[:{]|\d", text, maxsplit=1)[0]


def shows_run(line: str) -> bool:
    """Whether a line by itself shows that a run was made or tried."""
    text = line.strip()
    return head_family(text) is not None or (text[:1] in _BODY_LETTERS and _BODY.match(text) is not None)


def is_step(text: str) -> bool:
    """Whether a program reports a step that it has done."""
    return _STEP.match(text) is not None


def line_shape(line: str) -> Shape:
    """Whether a line can be read by itself, and then whether it may go on in free text."""
    text = line.strip()
    if not text or RULE.match(text) or _WHOLE_SCORE.match(text) or CLASS_INDEX.match(text) or is_step(text):
        return "complete"
    if REPEAT.match(text) or STATISTICS.match(text):
        whole = text.endswith("ms") and ("min_time" in text or "avg =" in text or "99% =" in text)
        return "complete" if whole else "open"
    if head_family(text) or any(shape.match(text) for shape in (FIELD, PERCENT, INFO, DETECTIONS, _BODY)):
        return "open"
    return "complete" if read_command(line) else "unknown"
