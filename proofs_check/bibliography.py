"""Sources, once."""

from typing import NamedTuple


class Source(NamedTuple):
    """Where a claim comes from: short and full name of the paper, and the place in it (or that it is derived here)."""

    short: str
    full: str
    locator: str

    def __str__(self) -> str:
        return f"{self.full}: {self.locator}"


PAPERS = {
    "fang2021": ("Fang et al. 2021", "Fang, He, Long & Su, PNAS 118(43) e2103091118, 2021"),
    "hongling2023": ("Hong & Ling 2023", "Hong & Ling, arXiv 2309.09725, 2023"),
    "zhu2021": ("Zhu et al. 2021", "Zhu, Ding, Zhou, Li, You, Sulam & Qu, arXiv 2105.02375, 2021"),
    "zhou2022": ("Zhou et al. 2022", "Zhou, Li, Ding, You, Qu & Zhu, arXiv 2203.01238, 2022"),
    "yang2022": ("Yang et al. 2022", "Yang, Chen, Li, Xie, Lin & Tao, arXiv 2203.09081, 2022"),
    "dang2023": ("Dang et al. 2023", "Dang, Tran, Osher, Tran-The, Ho & Nguyen, arXiv 2301.00437, 2023"),
    "sukenik2023": ("Sukenik et al. 2023", "Sukenik, Mondelli & Lampert, deep neural collapse for two classes, 2023"),
    "dang2024": ("Dang et al. 2024", "Dang, Tran, Nguyen & Ho, arXiv 2401.02058, 2024"),
    "garrod2025": ("Garrod & Keating 2025", "Garrod & Keating, deep linear unconstrained-feature models, 2025"),
    "sunshi2024": ("Sun & Shi 2024", "Sun & Shi, NeurIPS 2024, arXiv 2410.23391"),
    "li2023": ("Li et al. 2023", "Li et al., arXiv 2310.15903, 2023"),
    "zhao2024": ("Zhao et al. 2024", "Zhao et al., arXiv 2408.15417, 2024"),
    "andriopoulos2024": ("Andriopoulos et al. 2024", "Andriopoulos et al., arXiv 2409.04180, 2024"),
    "nguyen2026": ("Nguyen et al. 2026", "Nguyen et al., arXiv 2605.11291, 2026"),
    "kini2024": ("Kini et al. 2024", "Kini et al., ICLR 2024"),
    "arxiv2602.16642": ("arXiv 2602.16642", "arXiv 2602.16642, 2026"),
    "arxiv2512.04006": ("arXiv 2512.04006", "arXiv 2512.04006, 2025"),
    "arxiv2506.05801": ("arXiv 2506.05801", "arXiv 2506.05801, 2025"),
    "here": ("derived here", "derived in this book"),
}


def cite(key: str, locator: str) -> Source:
    """A citation with the place in the paper.

    >>> str(cite("sunshi2024", "lower loss"))
    'Sun & Shi, NeurIPS 2024, arXiv 2410.23391: lower loss'
    """
    return Source(*PAPERS[key], locator)
