"""Raw bytes of a captured terminal in, clean lines of text out, in constant memory."""

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE = 16_384  # characters kept of a line: the longest real ones, a compiler's repr, stay below
_BLOCK = 1 << 18

_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]"  # colours and cursor movements
    r"|[\]k][^\x07\x1b\n]*+(?:\x07|\x1b\\)"  # window titles and links
    r"|[()][0-9A-Z]"  # character sets
    r"|[@-Z\\^_=>]?)"
)
_CONTROL = bytes({*range(0x20), 0x7F} - {*b"\n\r\t\x07\x1b"})

# What the board's log daemon and kernel print over a program's own output, each with the line end of its own:
# without them, a line that one of them has cut is whole again.
_NOISE = re.compile(
    r"[\[_WEJFMASOND](?:"  # the first letters of what follows: the search goes by them
    r"AX_SYS_LOG\][^\n]*|_sys_logctl_deinit!!!"
    r"|(?:ARN|RROR),Func\(__(?:is_valid_file|syslog_parma_cfg_get)\), ?NOT find(?: file)? = '[^'\n]{0,200}'"
    r"|(?<!engine ver: .)Axera version\]: libax_sys\.so V\S{1,80} +\w{3} +\d{1,2} \d{4} [\d:]{8}(?: JK)?"
    r"| {0,8}\d{1,8}\.\d{6}\] [^\n]*"
    r"|[a-z]{2} [ \d]\d [\d:]{8} \S{1,64} (?:(?:user|kern|daemon)\.\S{1,64} \S{1,64}|kernel): [^\n]*"
    r")[ \t]*\n?"
)
# One of these stands in every noise: texts without them need no closer look.
_NOISE_HINTS = ("AX_SYS_LOG]", "__sys_", "libax_sys", " kernel: ", " user.", " kern.", " daemon.", ",Func(__")
# What a Chinese or Japanese shell says, as an English one: everything else here reads English.
_LOCALISED = {
    "已杀死": "Killed",
    "強制終了": "Killed",
    "段错误": "Segmentation fault",
    "已放弃": "Aborted",
    "：未找到命令": ": command not found",
    "未找到命令": ": command not found",
    "コマンドが見つかりません": "command not found",
    "没有那个文件或目录": "No such file or directory",
    "そのようなファイルやディレクトリはありません": "No such file or directory",
}
_LINE = re.compile(r"行 (?=\d+: +\d+ Killed)")
_KERNEL_TIME = re.compile(r"\[ {0,8}\d{1,8}\.\d{6}\] ")


def iter_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a byte stream as text, blank ones included, without their line ends.

    A carriage return ends a line too, so each state of a progress bar is a line of its own. Bytes that are
    not UTF-8 (UTF-16 after its mark, as from PowerShell) become U+FFFD; colours, cursor movements, control
    characters and the messages of the board's log daemon are removed, also from the middle of a line. A line
    keeps its first `MAX_LINE` characters.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    held = b""  # of a line's end that may go on in the next block
    raw = line = ""  # the begin of the last line, as it came and, where noise has cut it, cleaned
    for block in _blocks(stream):
        block = held + block.translate(None, _CONTROL)
        held = b"\r\r"[: block.endswith(b"\r") + block.endswith(b"\r\r")]
        raw += decoder.decode(block[: len(block) - len(held)].replace(b"\r\r\n", b"\n"))
        end = raw.rfind("\n") + 1
        *lines, line = (line[:MAX_LINE] + _clean(raw[:end])).split("\n")
        raw = raw[end:][: 4 * MAX_LINE]
        for whole in lines:
            yield whole[:MAX_LINE]
    line += _clean(raw + decoder.decode(held, final=True)).rstrip("\n")
    if line:
        yield line[:MAX_LINE]


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's bytes as they come; UTF-16 behind its mark becomes UTF-8."""
    read = getattr(stream, "read1", stream.read)  # a pipe's lines are read as they come
    block = read(_BLOCK)
    marked = block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    wide = codecs.getincrementaldecoder("utf-16")("replace") if marked else None
    while block:
        yield wide.decode(block).encode(errors="replace") if wide else block
        block = read(_BLOCK)


def _clean(text: str) -> str:
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if any(hint in text for hint in _NOISE_HINTS) or _KERNEL_TIME.search(text):
        text = _NOISE.sub("", text)
    for said, english in _LOCALISED.items():
        text = text.replace(said, english)
    text = _LINE.sub("line ", text)
    return text.replace("\x07", "").replace("\xa0", " ").removeprefix("\ufeff")
