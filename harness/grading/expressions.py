r"""One expression, read by math-verify's own grammar, with a proof that it was read to its end.

The grammar's rule for an expression stops at the first sign that it cannot use and keeps silent about the rest; its lexer
skips signs; its converter drops subscripts of numbers. An expression is taken here only where the rule ended at the end of
the text, every sign of the text belongs to a token that was used, and nothing in the tree is of the kinds that the
converter drops. Imported in the grader's children only: it loads sympy.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from antlr4 import Token
from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy

from harness.grading.layout import with_braces
from harness.grading.split import split

MAX_BITS = 200_000
"""Bits that the numbers of an expression may have once its powers and factorials are multiplied out."""
MAX_TERMS = 5_000
"""Terms of a sum or a product that are written out."""


class Unread(Exception):
    """The text, or a part of it, is not understood."""


class TooLarge(Unread):
    """The value has more digits than are computed."""


_SEVERAL: dict[str, Any] = {
    "max": lambda *x: sympy.Max(*x, evaluate=False),
    "min": lambda *x: sympy.Min(*x, evaluate=False),
    "gcd": sympy.Function("gcd"),
    "lcm": sympy.Function("lcm"),
}
_DROPPED = {"Transpose", "Eval_at", "Elementary_transforms", "Formatting_group"}
_REFUSED = re.compile(
    r"(?<![\d_^.])\d+\s+\d|!\s*!|(?<![\d.])0[xbo][\dA-Fa-f]|"
    r"\\(?:mod|approx|equiv|text|sim|cong|propto|[lc]?dots|arg|deg)(?![a-zA-Z])|\\(?:max|min|gcd|lcm)(?!\s*\()|\.\.|[?@~\"`]"
    r"|^(?!.*\\lim(?![a-zA-Z])).*\\to(?![a-zA-Z])"
)


class _Converter(_Latex2Sympy):  # type: ignore[misc]
    """Numbers as exact fractions, a decimal point or not, and nothing evaluated that may be large."""

    def parse_number(self, text: str) -> Any:
        value = Fraction(text.replace(",", "") if not re.search(r"[eE]", text) else "x")
        return sympy.Rational(value.numerator, value.denominator)

    def convert_binom(self, binom: Any) -> Any:
        return sympy.binomial(self.convert_expr(binom.upper), self.convert_expr(binom.lower), evaluate=False)

    def convert_func(self, func: Any) -> Any:
        """A letter before a parenthesis is a factor, but for f, g and h; the arguments of max and gcd are read whole, too."""
        if (several := func.func_normal_multi_arg()) and func.func_multi_arg() and not func.supexpr():
            arguments, _ = split(func.func_multi_arg().getText(), (",",))
            return _SEVERAL[several.start.text[1:]](*map(read_expression, arguments))
        name = func.atom_expr_no_supexpr()
        if name is None or name.getText() in "fghFGH" or func.supexpr():
            return super().convert_func(func)
        arguments = func.func_common_args().getText()
        if "," in arguments:
            raise Unread(arguments)
        return sympy.Mul(self.convert_atom_expr(name), read_expression(arguments), evaluate=False)

    def handle_exp(self, func: Any) -> Any:
        if not func.supexpr():
            return sympy.E
        power = func.supexpr()
        exponent = self.convert_expr(power.expr()) if power.expr() else self.convert_atom(power.atom())
        return sympy.Pow(sympy.E, exponent, evaluate=False)


_CONVERTER = _Converter(is_real=None, convert_degrees=True, config=ConversionConfig(lowercase_symbols=False))


def _without_commas(number: re.Match[str]) -> str:
    return number[1].replace(",", "")


@lru_cache(maxsize=8192)
def read_expression(text: str) -> Any:
    """The sympy expression of a normalised text, unevaluated. Raises Unread, TooLarge."""
    if _REFUSED.search(text) or not text:
        raise Unread(text)
    text = re.sub(r"\^\s*e(?![a-zA-Z])", "^{e}", text)
    if not re.search(r"\\(?:max|min|gcd|lcm)(?![a-zA-Z])", text):
        text = re.sub(r"(?<![\d,.])(\d{1,3}(?:,\d{3})+)(?![\d,])", _without_commas, text)
    text = re.sub(r"(?<![\\a-zA-Z])E(?=\s*_)", r"\\mathcal{E}", text)  # a lone E has no subscript in the grammar
    try:
        parser, tree = _parsed(with_braces(text))
        stream = parser.getTokenStream()
        if parser.getCurrentToken().type != Token.EOF:
            raise Unread(text)
        read = "".join(token.text for token in stream.tokens if token.type != Token.EOF)
        if _signs(read) != _signs(text):
            raise Unread(text)
        _refuse_dropped(tree)
        found = _CONVERTER.convert_expr(tree)
    except RecursionError:
        raise TooLarge(text) from None
    except Unread:
        raise
    except Exception as e:
        raise Unread(text) from e
    if not isinstance(found, sympy.Expr) or isinstance(found, sympy.MatrixExpr) or found.atoms(sympy.MatrixBase):
        raise Unread(text)
    bound = {symbol for part in found.atoms(sympy.Sum, sympy.Product, sympy.Integral) for symbol in part.variables}
    if (unit := sympy.Symbol("i")) not in bound:
        found = found.xreplace({unit: sympy.I})
    bits(found)
    return found


def _parsed(text: str) -> tuple[Any, Any]:
    """Parser and tree; the quick way of predicting first, the full one where that ends early."""
    for mode in (PredictionMode.SLL, PredictionMode.LL):
        parser = _CONVERTER.create_parser(text)
        parser._interp.predictionMode = mode
        try:
            tree = parser.expr()
        except Exception:
            if mode == PredictionMode.LL:
                raise
            continue
        if parser.getCurrentToken().type == Token.EOF:
            break
    return parser, tree


def _signs(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _refuse_dropped(tree: Any) -> None:
    """Raises Unread where the converter would not use a part of the tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__.removesuffix("Context")
        if kind in _DROPPED or (kind == "Number_subexpr" and node.subexpr()) or (kind == "Atom" and node.E_NOTATION()):
            raise Unread(node.getText())
        if kind == "Func" and node.func_normal_single_arg() and node.subexpr() and not re.match(r"\\log", node.getText()):
            raise Unread(node.getText())
        if kind == "Postfix_op" and node.degree() and not node.degree().getText():
            raise Unread(node.getText())
        waiting += [child for child in (node.getChildren() if hasattr(node, "getChildren") else ())]


@lru_cache(maxsize=8192)
def bits(expr: Any) -> float:
    """An upper bound of the bits in the numbers of a value, and so of how near to another it may lie without being it.

    Sums and products: the sum of their parts. A power: so many times its base. Raises TooLarge above MAX_BITS.
    """
    total = _bits(expr)
    if total > MAX_BITS:
        raise TooLarge(str(total))
    return total


def _bits(expr: Any) -> float:
    if isinstance(expr, sympy.Rational):
        return float(expr.p.bit_length() + expr.q.bit_length())
    if not expr.args:
        return 2.0
    if isinstance(expr, sympy.Pow):
        base, exponent = expr.args
        if exponent.free_symbols:
            return bits(base) * 40 + bits(exponent)
        return max(bits(base), 1.0) * max(size(exponent), 1.0) + bits(exponent)
    if isinstance(expr, sympy.factorial | sympy.gamma):
        n = expr.args[0]
        m = 40.0 if n.free_symbols else size(n)
        return m * math.log2(m + 2) + bits(n)
    if isinstance(expr, sympy.binomial):
        n, k = expr.args
        if expr.free_symbols:
            return bits(n) + bits(k) + 100
        return min(size(k), size(n - k)) * bits(n) + bits(k)
    if isinstance(expr, sympy.exp | sympy.sinh | sympy.cosh | sympy.tanh | sympy.coth):
        return 2 * (40.0 if expr.free_symbols else size(expr.args[0])) + bits(expr.args[0])
    return sum(bits(part) for part in expr.args if isinstance(part, sympy.Basic)) + len(expr.args)


@lru_cache(maxsize=8192)
def size(expr: Any) -> float:
    """The absolute value of a number as a float. Raises TooLarge beyond MAX_BITS."""
    bits(expr)
    try:
        found = abs(complex(expr.evalf(8)))
    except (TypeError, ValueError, OverflowError):
        raise TooLarge("a power without a value") from None
    if not found <= MAX_BITS:
        raise TooLarge(str(found))
    return found
