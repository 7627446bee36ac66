"""Formulas are found where they are, and nowhere else: prices, shells and brackets stay what they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import tex
from app.markup import render_markdown
from tests.app.test_markup import Seen

PROSE = [
    "It costs $5 and then $10.",
    "between US$5 and A$10",
    "from $5-$10 a month",
    "$5/$6, $7",
    "I have $5, you have 3$ left.",
    "It was $5 (about 4€) or 6 dollars$.",
    "$1,000 to $2,000$$",
    "a $20 bill and 30$",
    "Put it in $HOME and $PATH.",
    "$HOME/bin:$PATH",
    "Dear $name$, your code is $USER$.",
    "$TSLA and $AAPL fell",
    "It is $$$ and she is $$ richer",
    "\\$5 and \\$6$ are escaped",
    "`$x$` in code",
    "$ x$ and $x $",
    "5$ + 6$",
    "\\[sic\\] and \\[1\\] are brackets \\(see above there\\)",
    "The rule $if this then that$ is prose",
    "$",
    "$$",
    "$$ $$",
    "ends with $x",
]
FORMULAS = [
    ("Let $x$ be.", ["$x$"]),
    ("$x^2 + y_1$", ["$x^2 + y_1$"]),
    ("so $a_b$ and $c_d$ stay", ["$a_b$", "$c_d$"]),
    ("the answer is $5$.", ["$5$"]),
    ("it costs $5, and $x = 3$", ["$x = 3$"]),
    ("triangle $ABC$ in $ABCD$", ["$ABC$", "$ABCD$"]),
    (r"$\alpha$-decay", [r"$\alpha$"]),
    (r"$x \text{ if it rains there}$", [r"$x \text{ if it rains there}$"]),
    (r"$\{a \mid a < 3\}$", [r"$\{a \mid a < 3\}$"]),
    (r"$5\%$ of it, $\$3$", [r"$5\%$", r"$\$3$"]),
    (r"\(x\) and \(f(x)\)", [r"\(x\)", r"\(f(x)\)"]),
    (r"\[x = 1\]", [r"\[x = 1\]"]),
    ("*($x*y$)*", ["$x*y$"]),
    ("$2xy$ and $3 \\sin x$", ["$2xy$", "$3 \\sin x$"]),
    ("$$\nx\n= 1\n- 2\n$$", ["$$\nx\n= 1\n- 2\n$$"]),
    ("so:\n\\[\n\\frac{1}{2}\n\\]\nthus", ["\\[\n\\frac{1}{2}\n\\]"]),
    ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", ["\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}"]),
    ("- $$a = b$$\n- c", ["$$a = b$$"]),
    ("> $$\n> a = b\n> $$", ["$$\na = b\n$$"]),
    ("|a|\n|-|\n|$x_1$|", ["$x_1$"]),
]


class Maths(Seen):
    """The texts of elements of class math, each whole."""

    def __init__(self, fragment: str) -> None:
        self.inside, self.found = False, []
        super().__init__(fragment)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        self.inside = (dict(attrs).get("class") or "").startswith("math")
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self.inside:
            self.found[-1] += data


@pytest.mark.parametrize("text", PROSE)
def test_prose_with_dollars_and_brackets_stays_prose(text: str) -> None:
    assert Maths(render_markdown(text)).found == []
    assert Maths(render_markdown(f"- {text}\n\n> **{text}**")).found == []


@pytest.mark.parametrize("price", ["$5", "$3.50", "US$40", "$1,000,000", "5$", "$0", "-$7", "$20k", "$5M", "($9)"])
@pytest.mark.parametrize("other", ["$6", "$12.99", "A$3", "$30/month", "$2bn."])
@pytest.mark.parametrize("between", [" and ", " to ", " or about ", ", not ", " – that is, before tax – ", "-", "/"])
def test_two_prices_are_no_formula(price: str, other: str, between: str) -> None:
    drawn = render_markdown(f"It went from {price}{between}{other} in a year.")
    assert Maths(drawn).found == []
    assert Seen(drawn).words.strip() == f"It went from {price}{between}{other} in a year."


@pytest.mark.parametrize(("text", "found"), FORMULAS)
def test_formulas_are_found_with_their_delimiters(text: str, found: list[str]) -> None:
    assert Maths(render_markdown(text)).found == found


def test_what_stands_alone_is_displayed() -> None:
    kinds = [at.get("class") for tag, at in Seen(render_markdown("$x$\n\n$$y$$\n\nand $$z$$ so")).tags if "class" in at]
    assert kinds == ["math", "math display", "math display"]


def test_nothing_in_a_formula_is_markup() -> None:
    drawn = render_markdown("$<script>alert(1)</script> = \\href{javascript:alert(1)}{x}$")
    assert Maths(drawn).found == ["$<script>alert(1)</script> = \\href{javascript:alert(1)}{x}$"]
    assert "<script" not in drawn


def test_more_formulas_than_a_browser_sets_in_a_moment_stay_as_written() -> None:
    drawn = render_markdown("$x$ " * (tex.MOST + 50))
    assert len(Maths(drawn).found) == tex.MOST
    assert Seen(drawn).words.split() == ["$x$"] * (tex.MOST + 50)


@given(
    st.lists(
        st.sampled_from(["$", "$$", "\\(", "\\)", "\\[", "\\]", "x", "5", " ", "\n", "a b", "^", "*"]), max_size=40
    )
)
def test_no_character_but_markdowns_own_is_lost(pieces: list[str]) -> None:
    """What a browser without KaTeX shows: every letter and digit, in order."""
    text = "".join(pieces)
    kept = [sign for sign in Seen(render_markdown(text)).words if sign.isalnum()]
    assert kept == [sign for sign in text if sign.isalnum()]


@pytest.mark.parametrize("text", ["\\begin{CD}\n" * 2000, "$$\n\n" * 2000, "\\[ x\n" * 2000 + "\\]"])
def test_each_line_is_searched_once_for_a_closing_however_many_openings_stand_before_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    line = tex._line
    monkeypatch.setattr(tex, "_line", lambda state, number: looked.append(number) or line(state, number))
    render_markdown(text)
    assert len(looked) < 30 * text.count("\n")
