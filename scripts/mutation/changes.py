"""What a test should notice: small changes, found in the syntax tree and made in the text.

- Only code in functions is changed: constants of modules are choices, and compared with the
  documentation where they are promises. So are defaults of arguments, which belong to it.
- Annotations, decorators, docstrings, f-strings, `assert`, `raise AssertionError`, `strict=True`,
  `__repr__` and lines for the log are left alone. So is an assignment to an attribute in
  `__init__`: without it nothing works.
- No error is caught too widely: what else could be raised there is a fault of the code, which a
  test would have to put there first. Nearly all such changes were equivalents.
"""

import ast
import re
from dataclasses import dataclass

ORDERS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
COMPARISONS = {
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "//",
    "/": "*",
    "//": "*",
    "%": "*",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "^": "&",
    "**": "*",
}
LOGGERS = {"log", "_log", "logger"}
"""What modules call the log that they write to."""
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in",
    ast.NotIn: "not in", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.Pow: "**", ast.And: "and", ast.Or: "or",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One change of one file: the bytes from `start` to `end` become `new`.

    `where` is the function's qualified name and `lines` are its lines; `line` is the text of the
    line that begins the change, with the line before where a function has it twice. None of what
    identifies a change moves with the lines above it.
    """

    path: str
    where: str
    lines: range
    number: int
    line: str
    start: int
    end: int
    old: str
    new: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what the table of equivalents calls it."""
        return self.where, self.line, self.old, self.new

    def made(self, source: bytes) -> bytes:
        """Return the source with the change."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def changes_of(path: str, source: bytes) -> list[Change]:
    """Return all changes of a file, in the order of the file."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found), key=lambda change: (change.start, change.end, change.new))


class _Finder(ast.NodeVisitor):
    """Walks a module and notes the changes of each function."""

    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Change] = []
        self._path = path
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._names: list[str] = []
        self._functions: list[range] = []
        self._last: set[ast.stmt] = set()

    # What is left alone.

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Python 3.11 does not say where the parts of an f-string stand."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave it: it is an assertion already."""

    # Where we are.

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self._body(node.body)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "__repr__":
            return
        self._names.append(node.name)
        end = node.end_lineno or node.lineno
        self._functions.append(range(node.body[0].lineno, end + 1))
        self._last.update(_ends(node.body))
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self._body(node.body)
        self._functions.pop()
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the name that ast gives

    def _body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    # Statements.

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or _tells_the_log(node.value):
            return
        if not isinstance(node.value, ast.Yield | ast.YieldFrom):
            self._note(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        outside = all(isinstance(each, ast.Attribute | ast.Subscript) for each in node.targets)
        if outside and self._names[-1:] != ["__init__"]:
            self._note(node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._note(node, "pass")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._note(node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave `raise AssertionError`: it says of a place that nothing comes there."""
        if node.exc is None or not ast.unparse(node.exc).startswith("AssertionError"):
            self._note(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        nothing = node.value is None or ast.unparse(node.value) in {"None", "False"}
        if not (nothing and node in self._last):
            self._note(node, "pass")
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._note(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._note(node, "break")

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self._note(node.type, "()")
        self._body(node.body)

    def visit_If(self, node: ast.If) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    # Expressions.

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._condition(test)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old = _SYMBOLS[type(node.op)]
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._operator(node, left, right, old, "or" if old == "and" else "and")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._note(node, f"bool({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        terms = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, terms, terms[1:], strict=False):
            old = _SYMBOLS[type(operator)]
            self._operator(node, left, right, old, COMPARISONS[old])
            if old in ORDERS:
                self._operator(node, left, right, old, ORDERS[old])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        old = _SYMBOLS.get(type(node.op))
        texts = isinstance(node.left, ast.Constant | ast.JoinedStr) and not isinstance(
            getattr(node.left, "value", ""), int | float
        )
        if old is not None and not texts:
            self._operator(node, node.left, node.right, old, ARITHMETIC[old])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._note(node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._note(node, repr(node.value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            self._note(node.func, CALLS[node.func.id])
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """Leave `strict` of `zip`: it is an assertion, too."""
        if node.arg != "strict":
            self.generic_visit(node)

    # How a change is noted.

    def _condition(self, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            self._note(test, f"not ({self._text(test)})")

    def _operator(
        self, node: ast.expr, left: ast.expr, right: ast.expr, old: str, new: str
    ) -> None:
        """Note another operator between two operands; the change names the whole expression."""
        start, end = self._span(node)
        _, gap_start = self._span(left)
        gap_end, _ = self._span(right)
        gap = self._source[gap_start:gap_end].decode()
        pattern = r"\s+".join(re.escape(word) for word in old.split())
        changed = re.sub(pattern, new, gap, count=1)
        before, after = self._source[start:gap_start], self._source[gap_end:end]
        self._note(node, before.decode() + changed + after.decode())

    def _note(self, node: ast.expr | ast.stmt, new: str) -> None:
        if not self._functions:
            return
        start, end = self._span(node)
        where, lines = ".".join(self._names), self._functions[-1]
        line = self._line(node.lineno)
        if sum(self._line(number) == line for number in lines) > 1:
            line = f"{self._line(node.lineno - 1)} / {line}"
        old = self._text(node)
        self.found.append(Change(self._path, where, lines, node.lineno, line, start, end, old, new))

    def _line(self, number: int) -> str:
        return self._source[self._starts[number - 1] : self._starts[number]].decode().strip()

    def _text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[end_line - 1] + end_column,
        )


def _ends(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements after which a function ends, as it would without them."""
    last = body[-1]
    match last:
        case ast.If():
            return _ends(last.body) + (_ends(last.orelse) if last.orelse else [])
        case ast.Try():
            within = [] if last.orelse or last.finalbody else [last.body]
            within += [] if last.finalbody else [each.body for each in last.handlers]
            return [end for each in within for end in _ends(each)]
        case ast.Match():
            return [end for each in last.cases for end in _ends(each.body)]
        case _:
            return [last]


def _tells_the_log(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and ast.unparse(called.value) in LOGGERS
