"""What is said in the pictures."""

from __future__ import annotations

QUESTION = "Write a binary search in Python, please, and tell me when it is worth it."

ANSWER = """\
A binary search halves the range it looks at, so it needs about **log₂ n** steps. The list must \
be sorted; `bisect` in the standard library does the same in C.

```python
def find(items: list[int], wanted: int) -> int | None:
    \"\"\"Index of `wanted` in a sorted list, or None.\"\"\"
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < len(items) and items[low] == wanted else None
```

It is worth it when

1. the list is **long** and already sorted,
2. you search it more often than you change it.

| items | linear | binary |
|--:|--:|--:|
| 1,000 | 500 | 10 |
| 1,000,000 | 500,000 | 20 |
"""

LONG_CODE = """\
Measure both in the same run, with [`timeit`](https://docs.python.org/3/library/timeit.html):

```python
import random, timeit

items = sorted(random.sample(range(10_000_000), 100_000))
wanted = random.choice(items)
ways = {"linear": lambda: items.index(wanted), "binary": lambda: find(items, wanted), "set": None}
for name, work in ways.items():
    print(name, timeit.timeit(work, number=100) if work else "not a fair race: it is no list")
```

> Run it a few times: the first run also pays for warming the caches.
"""

MATH = r"""The roots of $ax^2 + bx + c = 0$ are \(x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}\).

$$
\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}
$$

\[
\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix}
= \sum_{i=1}^{n} \alpha_i
\]

What cannot be drawn stays as it is: $\frac{$ — and $5 is money.
"""

SCRIPTS = (
    """\
# A heading that is long enough to wrap onto a second line when the window is narrow

- [x] a task that is done
- [ ] a task that is not
  - nested, with `code` and **bold**

هذا نص عربي يُكتب من اليمين إلى اليسار، ومعه `code`.

中文段落：你好，世界。日本語の文章もここにあります。한국어도 있습니다.

Emoji 🎉 🚀 and a footnote[^1]. AVeryLongWordWithoutAnySpaces_"""
    + "abcdefghij" * 12
    + """

> A quotation
>
> > inside a quotation

| Left | Right | Centre |
|:--|--:|:-:|
| a | 1 | x |
| a longer cell | 1,000 | y |

![A picture](https://example.org/picture.png) is never fetched.

---

[^1]: The footnote, with a [link](https://example.org).
"""
)
