"""Work of one training step, read off the text of a compiled program (XLA's HLO, after all optimisation)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Operations that launch nothing.
NO_KERNEL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "copy-done"}
NO_KERNEL |= {"async-update", "async-done"}
SLICES = {"dynamic-slice", "slice", "gather"}  # what reads an operand through these alone reads that much of it
CALLS = ("body", "condition", "to_apply", "calls", "branch_computations", "true_computation", "false_computation")
ON_CHIP = re.compile(r"S\([1-9]\)")  # in the layout of an array that lies in a TPU's own memory
MATMUL = re.compile(r'custom_call_target="__cublas')


class Work(NamedTuple):
    """What a program does on one device."""

    kernels: float = 0  #: launches, copies among them
    copies: float = 0  #: of an array, for nothing but its place or its layout
    operations: float = 0  #: of matrix products; a multiplication and an addition are two
    num_bytes: float = 0  #: read from and written to main memory, were nothing kept in caches

    def plus(self, other: Work, times: float = 1) -> Work:
        return Work(*(one + times * more for one, more in zip(self, other, strict=True)))


class _Instruction(NamedTuple):
    name: str
    shape: str
    opcode: str
    operands: list[str]  # by name; of a parameter its number, of a constant its value
    attributes: str

    @property
    def called(self) -> list[str]:
        """The computations that it runs."""
        named = re.findall(rf"\b(?:{'|'.join(CALLS)})=(%[\w.\-]+|\{{[^}}]*\}})", self.attributes)
        return re.findall(r"%([\w.\-]+)", " ".join(named))


_Computation = Mapping[str, _Instruction]


def of_step(text: str) -> Work:
    """Work of one pass through a program's training loop: the outermost whose number of passes is not known.

    Loops around it and within it count as often as they run; one within it that runs an unknown number of times, once.

    Raises:
        ValueError: there is no such loop.
    """
    computations, entry = _parse(text)
    found = _training_loop(computations, entry)
    if found is None:
        raise ValueError("the program has no loop over training steps")
    return found


def _parse(text: str) -> tuple[dict[str, dict[str, _Instruction]], str]:
    """All computations by name, and the name of the one that is run."""
    computations: dict[str, dict[str, _Instruction]] = {}
    current, entry = {}, ""
    for line in text.splitlines():
        if header := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif match := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)$", line):
            current[match[1]] = _instruction(match[1], re.sub(r"/\*.*?\*/", "", match[2]))
    return computations, entry


def _instruction(name: str, text: str) -> _Instruction:
    """From what is behind its name: a shape, an operation, operands in brackets, attributes."""
    shape, text = _split(text) if text.startswith("(") else text.split(" ", 1)
    opcode, bracket, text = text.strip().partition("(")
    operands, attributes = _split(bracket + text)
    found = [operands[1:-1]] if opcode in ("parameter", "constant") else re.findall(r"%([\w.\-]+)", operands)
    return _Instruction(name, shape, opcode, found, attributes)


def _split(text: str) -> tuple[str, str]:
    """Behind the bracket that closes the first."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[: place + 1], text[place + 1 :]
    return text, ""


def _training_loop(computations: Mapping[str, _Computation], name: str) -> Work | None:
    for one in computations[name].values():
        if one.opcode == "while" and _trips(computations, one) is None:
            return _sum(computations, one.called)
        if one.opcode in ("while", "call", "conditional", "async-start"):
            for inner in one.called:
                if (found := _training_loop(computations, inner)) is not None:
                    return Work().plus(found, _trips(computations, one) or 1)
    return None


def _trips(computations: Mapping[str, _Computation], one: _Instruction) -> int | None:
    """How often a loop runs, where the compiler knows it; None: it does not, or this is no loop."""
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', one.attributes):
        return int(known[1])
    if one.opcode != "while":
        return None
    condition = next(computations[n] for n in one.called if f"condition=%{n}" in one.attributes)
    *_, root = condition.values()
    bounds = [condition[n].operands[0] for n in root.operands if condition[n].opcode == "constant"]
    return int(bounds[0]) if "direction=LT" in root.attributes and bounds else None


def _sum(computations: Mapping[str, _Computation], names: Sequence[str]) -> Work:
    """Of computations that are all run."""
    total = Work()
    for name in names:
        for one in computations[name].values():
            if one.opcode == "conditional":
                total = total.plus(max((_sum(computations, [n]) for n in one.called), key=lambda work: work.num_bytes))
            elif one.opcode in ("while", "call", "async-start"):
                total = total.plus(_sum(computations, one.called), _trips(computations, one) or 1)
            elif one.opcode not in NO_KERNEL:
                fused = computations[one.called[0]] if one.opcode == "fusion" else {}
                total = total.plus(_kernel(one, computations[name], fused))
    return total


def _kernel(one: _Instruction, beside: _Computation, fused: _Computation) -> Work:
    shapes = [beside[name].shape for name in one.operands]
    if fused:
        operations = sum(_operations(i, [fused[n].shape for n in i.operands if n in fused]) for i in fused.values())
        moved = _moved(shapes, one.shape, fused)
    else:
        operations = _operations(one, shapes)
        written = one.shape.split("]")[0] + "]" if MATMUL.search(one.attributes) else one.shape  # less its workspace
        moved = 2 * _size(one.shape) if one.opcode in SLICES else sum(map(_size, (*shapes, written)))
    copies = one.opcode in ("copy", "copy-start") or {"parameter", "copy"} == {i.opcode for i in fused.values()}
    return Work(1, int(copies), operations, moved)


def _moved(shapes: Sequence[str], output: str, fused: _Computation) -> float:
    """Bytes that a fused kernel reads and writes; of what it slices or updates in place, those of the part."""
    updates = [i for i in fused.values() if i.opcode == "dynamic-update-slice"]
    in_place = {i.operands[0] for i in updates}
    parameters = {int(i.operands[0]): i.name for i in fused.values() if i.opcode == "parameter"}
    total = max(_size(output) - sum(_size(i.shape) for i in updates), 0)
    total += sum(_size(fused[i.operands[1]].shape) for i in updates)
    for number, shape in enumerate(shapes):
        users = [i for i in fused.values() if parameters[number] in i.operands and i.opcode != "parameter"]
        sliced = sum(_size(i.shape) for i in users) if all(i.opcode in SLICES for i in users) else math.inf
        total += 0 if parameters[number] in in_place else min(sliced, _size(shape))
    return total


def _arrays(shape: str) -> list[tuple[str, list[int], str]]:
    """(dtype, sizes, layout) of each array of a shape."""
    found = re.findall(r"([a-z]\w*)\[([\d,]*)\](\{[^{}]*\})?", shape)
    return [(dtype, [int(n) for n in sizes.split(",") if n], layout) for dtype, sizes, layout in found]


def _size(shape: str) -> float:
    """Bytes that lie in main memory."""
    bits = lambda dtype: int((re.search(r"\d+", dtype) or [8])[0])  # of a bool 8
    return sum(math.prod(n) * bits(dtype) / 8 for dtype, n, layout in _arrays(shape) if not ON_CHIP.search(layout))


def _operations(one: _Instruction, operands: Sequence[str]) -> float:
    """Two for each multiplication of a matrix product; 0 of all else."""
    if one.opcode not in ("dot", "convolution") and not MATMUL.search(one.attributes):
        return 0
    left, right, output = (_arrays(shape)[0][1] for shape in (*operands[:2], one.shape))
    if one.opcode == "convolution":  # how a TPU multiplies matrices: dim_labels=0bf_0io->0bf
        labels = re.search(r"dim_labels=\w+_(\w+)->", one.attributes)[1]  # type: ignore[index]
        # A product of many matrices has their number as the width of a window, and each output sees one of them.
        summed = "i" if "lhs_dilate" in one.attributes else labels.replace("o", "")
        return 2 * math.prod(output) * math.prod(right[labels.index(of)] for of in summed)
    places = re.search(r'lhs_contracting_dim(?:ension)?s"?[=:][\[{]([^\]}]*)', one.attributes)[1]  # type: ignore[index]
    return 2 * math.prod(output) * math.prod(left[int(n)] for n in re.findall(r"\d+", places))
